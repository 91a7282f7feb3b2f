import t from 'tap'
import type { FolderCacheStatus } from '../../src/cache/types.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { fetcher, folderKey as key, createTestCache, mustNotFetch } from '../support/listing/folder-cache.ts'

const forever = new AbortController().signal

t.test('a page that is fetched ahead is fetched once and cached', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  t.equal(calls.length, 1, 'at once')
  await cache.fetchAhead(key(), mustNotFetch, forever)
  t.match(cache.stats(), { loads: 1, inFlight: 1, misses: 0, joins: 0 }, 'no request has been made yet')
  clock.tick(1_000)
  calls[0]!.result.resolve('page')
  await ahead
  const status: FolderCacheStatus = {}
  t.equal(await cache.getOrFetch(key(), mustNotFetch, { status }), 'page')
  t.match(status, { outcome: 'hit', ageMs: 1_000, ttlMs: 59_000 })
  t.match(cache.stats(), { loads: 1, inFlight: 0, misses: 0, hits: 1, entries: 1 })
})

t.test('nothing is fetched ahead for a cached entry or a load in flight', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const loading = cache.getOrFetch(key(), fetch)
  clock.tick(59_999)
  await cache.fetchAhead(key(), mustNotFetch, forever)
  calls[0]!.result.resolve(1)
  await loading
  await cache.fetchAhead(key(), mustNotFetch, forever)
  t.match(cache.stats(), { loads: 1, hits: 0, joins: 0 })
})

t.test('an expired entry is fetched ahead again', async (t) => {
  const { cache, clock } = createTestCache()
  await cache.getOrFetch(key(), async () => 'old')
  clock.tick(60_000)
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  t.equal(cache.stats().entries, 0, 'the expired entry is removed at once')
  const joined = cache.getOrFetch(key(), mustNotFetch)
  calls[0]!.result.resolve('new')
  await ahead
  t.equal(await joined, 'new')
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 'new')
  t.equal(cache.invalidateFolder(key()), 1, 'the key has one slot')
})

t.test('a load that hangs for the lifetime of an entry is replaced, and its late result is discarded', async (t) => {
  const { cache, clock } = createTestCache()
  const hung = fetcher<string>()
  const before = cache.getOrFetch(key(), hung.fetch)
  clock.suspend(60_000)
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  t.equal(calls.length, 1)
  calls[0]!.result.resolve('new')
  await ahead
  hung.calls[0]!.result.resolve('old')
  t.equal(await before, 'old')
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 'new')
  t.equal(cache.invalidateFolder(key()), 1)
})

t.test('a replaced load has no slot, although it is still in flight', async (t) => {
  for (const how of ['asked for', 'fetched ahead']) {
    const { cache, clock } = createTestCache()
    const { calls, fetch } = fetcher<string>()
    const before = cache.getOrFetch(key(), fetch)
    clock.tick(60_000)
    const after = how === 'asked for' ? cache.getOrFetch(key(), fetch) : cache.fetchAhead(key(), fetch, forever)
    t.equal(cache.stats().inFlight, 2)
    t.equal(cache.invalidateFolder(key()), 1, how)
    for (const { result: answer } of calls) answer.resolve('page')
    await Promise.all([before, after])
  }
})

t.test('a caller joins a fetch ahead, and its abort does not end the fetch', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  const status: FolderCacheStatus = {}
  const controller = new AbortController()
  const leaving = cache.getOrFetch(key(), mustNotFetch, { signal: controller.signal, status })
  const staying = cache.getOrFetch(key(), mustNotFetch)
  t.equal(status.outcome, 'join')
  controller.abort(new Error('left'))
  await t.rejects(leaving, { message: 'left' })
  t.notOk(calls[0]!.signal.aborted)
  calls[0]!.result.resolve('page')
  t.equal(await staying, 'page')
  await ahead
  t.match(cache.stats(), { joins: 2, misses: 0, entries: 1 })
})

t.test('an abort of the only caller does not end a fetch ahead', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  const controller = new AbortController()
  const leaving = cache.getOrFetch(key(), mustNotFetch, { signal: controller.signal })
  controller.abort(new Error('left'))
  await t.rejects(leaving, { message: 'left' })
  t.notOk(calls[0]!.signal.aborted)
  calls[0]!.result.resolve('page')
  await ahead
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 'page')
})

t.test('its signal ends a fetch ahead without callers, and not one that callers have joined', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const alone = new AbortController()
  const ahead = cache.fetchAhead(key(), fetch, alone.signal)
  alone.abort(new Error('stopped'))
  t.ok(calls[0]!.signal.aborted)
  await t.rejects(ahead, { message: 'stopped' })
  const later = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 2, 'the next caller starts a new fetch')
  calls[0]!.result.resolve('late')
  await nextTurn()
  t.equal(cache.stats().entries, 0, 'an aborted fetch is not cached')
  calls[1]!.result.resolve('own')
  t.equal(await later, 'own')
  t.equal(cache.stats().inFlight, 0)

  const joinedBy = new AbortController()
  const joined = cache.fetchAhead(key({ variant: '2' }), fetch, joinedBy.signal)
  const reader = cache.getOrFetch(key({ variant: '2' }), mustNotFetch, { signal: new AbortController().signal })
  joinedBy.abort(new Error('stopped'))
  await t.rejects(joined, { message: 'stopped' })
  t.notOk(calls[2]!.signal.aborted)
  calls[2]!.result.resolve('page')
  t.equal(await reader, 'page')
  t.equal(await cache.getOrFetch(key({ variant: '2' }), mustNotFetch), 'page')
})

t.test('an invalidation fences a fetch ahead', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  t.equal(cache.invalidateConnection('c1'), 1)
  const after = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 2, 'the next caller does not join it')
  calls[0]!.result.resolve('old')
  await ahead
  t.equal(cache.stats().entries, 0)
  calls[1]!.result.resolve('new')
  t.equal(await after, 'new')
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 'new')
})

t.test('fetchAhead settles like its fetch, and a failure is not cached', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const ahead = cache.fetchAhead(key(), fetch, forever)
  const joined = cache.getOrFetch(key(), mustNotFetch)
  calls[0]!.result.reject(new Error('upstream'))
  await t.rejects(ahead, { message: 'upstream' })
  await t.rejects(joined, { message: 'upstream' })
  const atOnce = cache.fetchAhead(
    key(),
    () => {
      throw new Error('at once')
    },
    forever
  )
  await t.rejects(atOnce, { message: 'at once' })
  t.match(cache.stats(), { entries: 0, inFlight: 0, loads: 2 })
  t.equal(await cache.getOrFetch(key(), async () => 'own'), 'own')
})

t.test('a page from another cache keeps its age', async (t) => {
  const { cache } = createTestCache()
  const status: FolderCacheStatus = {}
  const fetch = async (_signal: AbortSignal, aged: (ageMs: number) => void) => {
    aged(20_000)
    return 1
  }
  await cache.fetchAhead(key(), fetch, forever)
  await cache.getOrFetch(key(), mustNotFetch, { status })
  t.match(status, { outcome: 'hit', ageMs: 20_000 })
})

t.test('a fetch ahead does not count against its user', async (t) => {
  const { cache } = createTestCache({ maxInFlightPerUser: 1 })
  const { calls, fetch } = fetcher<number>()
  const aheads = ['1', '2'].map((variant) => cache.fetchAhead(key({ variant }), fetch, forever))
  const own = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 3)
  const third = cache.fetchAhead(key({ variant: '3' }), fetch, forever)
  t.equal(calls.length, 4, 'a user at the limit of fetches may have pages fetched ahead')
  await t.rejects(cache.getOrFetch(key({ folderId: 'b' }), mustNotFetch), { code: 'TOO_MANY_REQUESTS' })
  for (const { result: answer } of calls.filter((_, i) => i !== 2)) answer.resolve(1)
  await Promise.all([...aheads, third])
  await t.rejects(
    cache.getOrFetch(key({ folderId: 'b' }), mustNotFetch),
    { code: 'TOO_MANY_REQUESTS' },
    'the end of an uncounted fetch frees no slot'
  )
  calls[2]!.result.resolve(1)
  await own
  t.equal(await cache.getOrFetch(key({ folderId: 'b' }), async () => 2), 2)
})
