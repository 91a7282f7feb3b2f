import fc from 'fast-check'
import t from 'tap'
import type { FolderCache } from '../../src/cache/folder-cache.ts'
import { type FolderCacheStatus, type FolderKey, folderKeyToString } from '../../src/cache/types.ts'
import { anyText } from '../support/listing/arbitraries.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { fetcher, folderKey as key, createTestCache, mustNotFetch } from '../support/listing/folder-cache.ts'

/** A value with a size that changes while it is cached. */
class Growing {
  static readonly sizes = new WeakMap<Growing, number>()

  get size(): number {
    return Growing.sizes.get(this) ?? 100
  }
}

t.test('an entry is fetched once and its lifetime begins with the fetch', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<string[]>()
  const first = cache.getOrFetch(key(), fetch)
  clock.tick(20_000)
  calls[0]!.result.resolve(['a'])
  t.same(await first, ['a'])
  clock.tick(39_999)
  t.same(await cache.getOrFetch(key(), mustNotFetch), ['a'])
  clock.tick(1)
  const again = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 2)
  calls[1]!.result.resolve(['b'])
  t.same(await again, ['b'])
})

t.test('entries expire while the machine sleeps, and setting back the wall clock does not extend them', async (t) => {
  const { cache, clock } = createTestCache()
  await cache.getOrFetch(key(), async () => 1)
  clock.suspend(60_000)
  t.equal(await cache.getOrFetch(key(), async () => 2), 2)
  clock.setBack(3_600_000)
  clock.tick(59_999)
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 2)
  clock.tick(1)
  t.equal(await cache.getOrFetch(key(), async () => 3), 3)
})

t.test('a result that is already expired is returned and not cached', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const status: FolderCacheStatus = {}
  const slow = cache.getOrFetch(key(), fetch, { status })
  clock.tick(60_000)
  calls[0]!.result.resolve(1)
  t.equal(await slow, 1)
  t.equal(status.stored, false)
  t.equal(cache.stats().entries, 0)
})

t.test('fifty cold readers share a fetch; the first one aborts and the others get the result', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const first = new AbortController()
  const gone = cache.getOrFetch(key(), fetch, { signal: first.signal })
  const others = Array.from({ length: 49 }, () =>
    cache.getOrFetch(key(), fetch, { signal: new AbortController().signal })
  )
  t.equal(calls.length, 1)
  first.abort(new Error('left'))
  await t.rejects(gone, { message: 'left' })
  t.equal(calls[0]!.signal.aborted, false)
  calls[0]!.result.resolve(7)
  t.same(await Promise.all(others), Array(49).fill(7))
  t.match(cache.stats(), { misses: 1, joins: 49, loads: 1, inFlight: 0, entries: 1 })
})

t.test('when all callers have aborted the fetch is aborted at once, and the next caller starts another', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const controllers = [new AbortController(), new AbortController()]
  const waiting = controllers.map(({ signal }) => cache.getOrFetch(key(), fetch, { signal }))
  controllers.forEach((controller) => {
    controller.abort(new Error('left'))
  })
  t.equal(calls[0]!.signal.aborted, true)
  for (const one of waiting) await t.rejects(one, { message: 'left' })
  const later = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 2)
  calls[0]!.result.resolve(1)
  await nextTurn()
  t.equal(cache.stats().entries, 0, 'the abandoned result is not cached')
  calls[1]!.result.resolve(2)
  t.equal(await later, 2)
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 2)
})

t.test('an aborted signal starts no fetch', async (t) => {
  const { cache } = createTestCache()
  await t.rejects(cache.getOrFetch(key(), mustNotFetch, { signal: AbortSignal.abort(new Error('gone')) }), {
    message: 'gone'
  })
  t.equal(cache.stats().loads, 0)
})

t.test('a caller without a signal keeps the fetch alive', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const steady = cache.getOrFetch(key(), fetch)
  const controller = new AbortController()
  const leaving = cache.getOrFetch(key(), fetch, { signal: controller.signal })
  controller.abort(new Error('left'))
  await t.rejects(leaving, { message: 'left' })
  t.equal(calls[0]!.signal.aborted, false)
  calls[0]!.result.resolve(1)
  t.equal(await steady, 1)
})

t.test('a failure rejects all callers and is not cached', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const both = [
    cache.getOrFetch(key(), fetch),
    cache.getOrFetch(key(), fetch, { signal: new AbortController().signal })
  ]
  calls[0]!.result.reject(new Error('upstream'))
  for (const one of both) await t.rejects(one, { message: 'upstream' })
  t.equal(await cache.getOrFetch(key(), async () => 5), 5)
})

t.test('no failure becomes an unhandled rejection', async (t) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const { cache } = createTestCache()

  await t.rejects(
    cache.getOrFetch(key(), () => {
      throw new Error('at once')
    }),
    { message: 'at once' }
  )
  const { calls, fetch } = fetcher<number>()
  const controller = new AbortController()
  const left = cache.getOrFetch(key(), fetch, { signal: controller.signal })
  controller.abort(new Error('left'))
  await t.rejects(left, { message: 'left' })
  calls[0]!.result.reject(new Error('nobody waits'))
  await nextTurn()
  await nextTurn()
  t.same(unhandled, [])
  t.match(cache.stats(), { entries: 0, inFlight: 0 })
})

for (const [what, invalidate] of [
  ['a folder', (cache: FolderCache) => cache.invalidateFolder(key())],
  [
    'a folder of all connections',
    (cache: FolderCache) => cache.invalidateFolder({ userId: 'ann', provider: 's3', folderId: 'docs/' })
  ],
  ['a provider', (cache: FolderCache) => cache.invalidateProvider('ann', 's3')],
  ['a connection', (cache: FolderCache) => cache.invalidateConnection('c1')]
] as const) {
  t.test(`invalidating ${what} fences the load in flight`, async (t) => {
    const { cache } = createTestCache()
    const { calls, fetch } = fetcher<string>()
    const before = cache.getOrFetch(key(), fetch)
    t.equal(invalidate(cache), 1)
    const after = cache.getOrFetch(key(), fetch)
    t.equal(calls.length, 2, 'the next caller starts its own load')
    calls[1]!.result.resolve('new')
    t.equal(await after, 'new')
    calls[0]!.result.resolve('old')
    t.equal(await before, 'old', 'an earlier caller still gets a result')
    t.equal(await cache.getOrFetch(key(), mustNotFetch), 'new', 'the late result of the old load is discarded')
    t.equal(invalidate(cache), 1)
    t.equal(cache.stats().entries, 0)
    t.equal(invalidate(cache), 0)
  })
}

t.test('an invalidation drops the entries in its scope and no others', async (t) => {
  const { cache } = createTestCache()
  const all = [
    key(),
    key({ variant: 'page 2' }),
    key({ folderId: null }),
    key({ connectionId: 'c2' }),
    key({ provider: 'box', connectionId: 'c3' }),
    key({ userId: 'bob', connectionId: 'c4' })
  ]
  const fill = () => Promise.all(all.map((each) => cache.getOrFetch(each, async () => 1)))
  await fill()
  t.equal(cache.invalidateFolder(key()), 2)
  await fill()
  t.equal(cache.invalidateFolder({ userId: 'ann', provider: 's3', folderId: 'docs/' }), 3)
  await fill()
  t.equal(cache.invalidateConnection('c1'), 3)
  await fill()
  t.equal(cache.invalidateProvider('ann', 's3'), 4)
  t.equal(cache.stats().entries, 2)
  cache.clear()
  t.equal(cache.stats().entries, 0)
  t.equal(cache.stats().bytes, 0)
})

t.test('clear() fences loads in flight', async (t) => {
  const { cache } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const before = cache.getOrFetch(key(), fetch)
  cache.clear()
  calls[0]!.result.resolve(1)
  await before
  t.equal(cache.stats().entries, 0)
})

t.test('an invalidation from inside the fetch fences its load', async (t) => {
  const { cache } = createTestCache()
  t.equal(
    await cache.getOrFetch(key(), async () => {
      t.equal(cache.invalidateProvider('ann', 's3'), 1)
      return 1
    }),
    1
  )
  t.equal(cache.stats().entries, 0)
})

t.test('a caller does not join a load that is older than the lifetime of an entry', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<string>()
  const hanging = cache.getOrFetch(key(), fetch)
  clock.tick(60_000)
  const fresh = cache.getOrFetch(key(), fetch)
  t.equal(calls.length, 2)
  calls[1]!.result.resolve('fresh')
  t.equal(await fresh, 'fresh')
  calls[0]!.result.resolve('hung')
  t.equal(await hanging, 'hung')
  t.equal(await cache.getOrFetch(key(), mustNotFetch), 'fresh')
})

t.test('a reader cannot change a cached value', async (t) => {
  const { cache } = createTestCache()
  const value = await cache.getOrFetch(key(), async () => ({
    entries: Object.freeze([{ name: 'a' }]) as { name: string }[]
  }))
  t.throws(() => value.entries.push({ name: 'b' }), TypeError)
  t.throws(() => {
    value.entries[0]!.name = 'z'
  }, TypeError)
  t.same(await cache.getOrFetch(key(), mustNotFetch), { entries: [{ name: 'a' }] })
})

t.test('the least recently used entry is evicted first', async (t) => {
  const { cache } = createTestCache({ max: 2 })
  const load = (folderId: string) => cache.getOrFetch(key({ folderId }), async () => folderId)
  await load('a')
  await load('b')
  await load('a')
  await load('c')
  t.equal(cache.stats().evictions, 1)
  t.equal(await cache.getOrFetch(key({ folderId: 'a' }), mustNotFetch), 'a')
  t.equal(await cache.getOrFetch(key({ folderId: 'b' }), async () => 'anew'), 'anew')
  cache.invalidateProvider('ann', 's3')
  t.equal(cache.stats().entries, 0, 'evicted entries are removed from the index')
})

t.test('a user above the share loses the least recently used entries, and other users lose none', async (t) => {
  const { cache } = createTestCache({ max: 8, maxSharePerUser: 0.5 })
  const load = (userId: string, folderId: string) =>
    cache.getOrFetch(key({ userId, folderId }), async () => `${userId} ${folderId}`)
  const isHit = async (userId: string, folderId: string): Promise<boolean> => {
    const status: FolderCacheStatus = {}
    await cache.getOrFetch(key({ userId, folderId }), async () => 'anew', { status })
    return status.outcome === 'hit'
  }
  for (const folderId of ['a', 'b', 'c', 'd']) await load('bob', folderId)
  for (let i = 0; i < 4; i += 1) await load('ann', String(i))
  t.equal(cache.stats().entries, 8, 'the cache is full')
  t.ok(await isHit('ann', '0'))
  for (let i = 4; i < 7; i += 1) await load('ann', String(i))
  t.match(cache.stats(), { entries: 8, evictions: 3 })
  for (const folderId of ['a', 'b', 'c', 'd']) t.ok(await isHit('bob', folderId), `bob ${folderId}`)
  for (const folderId of ['0', '4', '5', '6']) t.ok(await isHit('ann', folderId), `ann ${folderId}`)
  t.notOk(await isHit('ann', '1'))
})

t.test('the share applies to bytes too, even when an entry grows', async (t) => {
  const { cache } = createTestCache({
    maxBytes: 1000,
    maxSharePerUser: 0.3,
    sizeOf: (value) => (value as { size: number }).size
  })
  const load = async (folderId: string, size: number, status: FolderCacheStatus = {}) => {
    await cache.getOrFetch(key({ folderId }), async () => ({ size }), { status })
    return status
  }
  t.match(await load('large', 301), { stored: false })
  t.match(await load('a', 300), { stored: true })
  for (const folderId of ['b', 'c', 'd']) await load(folderId, 100)
  t.match(cache.stats(), { entries: 3, bytes: 300, evictions: 1 })
  t.match(await load('e', 101), { stored: true })
  t.match(cache.stats(), { entries: 2, bytes: 201, evictions: 3 })

  const grown = createTestCache({ maxBytes: 1000, maxSharePerUser: 0.3, sizeOf: (value) => (value as Growing).size })
  const [one, two] = [new Growing(), new Growing()]
  await grown.cache.getOrFetch(key({ folderId: 'one' }), async () => one)
  await grown.cache.getOrFetch(key({ folderId: 'two' }), async () => two)
  Growing.sizes.set(one, 250)
  t.equal(grown.cache.resize(key({ folderId: 'one' }), one), true)
  t.match(grown.cache.stats(), { entries: 1, bytes: 250, evictions: 1 }, 'the other entry of the user is evicted')
  Growing.sizes.set(one, 301)
  t.equal(grown.cache.resize(key({ folderId: 'one' }), one), false)
  t.equal(grown.cache.stats().bytes, 250)
})

t.test('a user always has space for one entry', async (t) => {
  const { cache } = createTestCache({ max: 2, maxSharePerUser: 0.01 })
  await cache.getOrFetch(key({ folderId: 'a' }), async () => 1)
  await cache.getOrFetch(key({ folderId: 'b' }), async () => 2)
  t.equal(cache.stats().entries, 1)
  t.equal(await cache.getOrFetch(key({ folderId: 'b' }), mustNotFetch), 2)
})

t.test('bytes are limited, and a value above the limit is returned and not cached', async (t) => {
  const { cache } = createTestCache({ maxBytes: 1000 })
  const status: FolderCacheStatus = {}
  t.equal((await cache.getOrFetch(key(), async () => 'x'.repeat(2000), { status })).length, 2000)
  t.equal(status.stored, false)
  for (let i = 0; i < 50; i += 1) {
    await cache.getOrFetch(key({ folderId: String(i) }), async () => 'ü'.repeat(100))
    t.ok(cache.stats().bytes <= 1000)
  }
  t.equal(cache.stats().bytes, 4 * 202, 'bytes of UTF-8, including the quotes')
  await cache.getOrFetch(key({ folderId: 'empty' }), async () => [])
  t.same(await cache.getOrFetch(key({ folderId: 'empty' }), mustNotFetch), [], 'an empty folder is cached')
})

t.test('a value that is not JSON and a size that is not a number are clear errors', async (t) => {
  const { cache } = createTestCache()
  await t.rejects(
    cache.getOrFetch(key(), async () => undefined),
    /JSON/
  )
  await t.rejects(
    createTestCache({ sizeOf: () => NaN }).cache.getOrFetch(key(), async () => 1),
    /sizeOf/
  )
  t.equal(cache.stats().inFlight, 0)
})

t.test('a user is limited in concurrent fetches, and other users are not affected', async (t) => {
  const { cache } = createTestCache({ maxInFlightPerUser: 2 })
  const { calls, fetch } = fetcher<number>()
  const open = ['a', 'b'].map((folderId) => cache.getOrFetch(key({ folderId }), fetch))
  await t.rejects(cache.getOrFetch(key({ folderId: 'c' }), mustNotFetch), {
    code: 'TOO_MANY_REQUESTS',
    retryAfterMs: 1000
  })
  const joined = cache.getOrFetch(key({ folderId: 'a' }), mustNotFetch)
  t.equal(await cache.getOrFetch(key({ userId: 'bob' }), async () => 1), 1)
  cache.invalidateProvider('ann', 's3')
  await t.rejects(
    cache.getOrFetch(key({ folderId: 'c' }), mustNotFetch),
    { code: 'TOO_MANY_REQUESTS' },
    'an invalidated fetch still counts'
  )
  calls.forEach(({ result: answer }) => {
    answer.resolve(2)
  })
  t.same(await Promise.all([...open, joined]), [2, 2, 2])
  t.equal(await cache.getOrFetch(key({ folderId: 'c' }), async () => 3), 3)
})

t.test('a status reports the outcome, the age and the remaining lifetime', async (t) => {
  const { cache, clock } = createTestCache()
  const { calls, fetch } = fetcher<number>()
  const statuses: FolderCacheStatus[] = [{}, {}, {}]
  const both = [0, 1].map((i) => cache.getOrFetch(key(), fetch, { status: statuses[i]! }))
  clock.tick(1500)
  calls[0]!.result.resolve(1)
  await Promise.all(both)
  clock.tick(500)
  await cache.getOrFetch(key(), mustNotFetch, { status: statuses[2]! })
  t.same(statuses, [
    { outcome: 'miss', ageMs: 1500, ttlMs: 58_500, stored: true },
    { outcome: 'join', ageMs: 1500, ttlMs: 58_500, stored: true },
    { outcome: 'hit', ageMs: 2000, ttlMs: 58_000, stored: true }
  ])
})

t.test('invalid options and keys are refused', async (t) => {
  for (const bad of [
    { max: 0 },
    { ttlMs: -1 },
    { ttlMs: 1.5 },
    { maxBytes: NaN },
    { maxInFlightPerUser: 0 },
    { maxSharePerUser: 0 },
    { maxSharePerUser: 1.01 },
    { maxSharePerUser: NaN }
  ]) {
    t.throws(() => createTestCache(bad), new RegExp(Object.keys(bad)[0]!))
  }
  await t.rejects(createTestCache().cache.getOrFetch(key({ userId: '' }), mustNotFetch), /userId/)
  await t.rejects(
    createTestCache().cache.getOrFetch(key({ userId: undefined as unknown as string }), mustNotFetch),
    /userId/
  )
})

t.test('keys never collide', async (t) => {
  const part = fc.oneof(anyText(), fc.constantFrom('__proto__', 'a:b', '1:', '-', '0', ''))
  const keys = fc.record({
    userId: part,
    provider: part,
    folderId: fc.option(part),
    connectionId: fc.option(part, { nil: undefined }),
    variant: fc.option(part, { nil: undefined })
  }) as fc.Arbitrary<FolderKey>
  const same = (a: FolderKey, b: FolderKey) =>
    (['userId', 'provider', 'folderId', 'connectionId', 'variant'] as const).every((name) => a[name] === b[name])
  fc.assert(
    fc.property(keys, keys, (a, b) => (folderKeyToString(a) === folderKeyToString(b)) === same(a, b)),
    { numRuns: 5000 }
  )
  const { cache } = createTestCache()
  await cache.getOrFetch({ userId: 'a:b', provider: 'c', folderId: 'd' }, async () => 'theirs')
  t.equal(await cache.getOrFetch({ userId: 'a', provider: 'b', folderId: 'c:d' }, async () => 'mine'), 'mine')
  await cache.getOrFetch({ userId: '__proto__', provider: '__proto__', folderId: '__proto__' }, async () => 1)
  t.equal(cache.invalidateProvider('__proto__', '__proto__'), 1)
})

t.test('dropping the entries of one user leaves those of others', async (t) => {
  const { cache } = createTestCache({ max: 10_000 })
  for (let i = 0; i < 5000; i += 1)
    await cache.getOrFetch(key({ userId: `u${i % 250}`, folderId: `${i}` }), async () => 1)
  t.equal(cache.invalidateProvider('u7', 's3'), 20)
  t.equal(cache.stats().entries, 4980)
})
