import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Moment } from '../../src/core/time.ts'
import type { FolderKey } from '../../src/cache/types.ts'
import { anyText } from '../support/listing/arbitraries.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { fetcher, folderKey as key, createTestCache, mustNotFetch } from '../support/listing/folder-cache.ts'

function make(options: Parameters<typeof createTestCache>[0] = {}) {
  const { cache, clock } = createTestCache(options)
  return { cache, clock, lookUp: (of: FolderKey) => cache.lookUp(of, new Moment(clock)) }
}

t.test('a cached entry is found synchronously, with its age, and counted as a hit', async (t) => {
  const { cache, clock, lookUp } = make()
  t.equal(lookUp(key()), undefined)
  t.equal(cache.stats().misses, 0, 'a lookup does not count as a miss')
  const value = await cache.getOrFetch(key(), async () => ['a'])
  clock.tick(20_000)
  const found = lookUp(key())
  t.equal(found?.value, value, 'the identical value')
  t.match(found, { ageMs: 20_000, ttlMs: 40_000 })
  t.match(cache.stats(), { hits: 1, misses: 1, loads: 1, joins: 0 })
})

t.test('an entry is found by its alias until it expires, is dropped or gets another alias or owner', async (t) => {
  const { cache, clock } = make({ max: 2 })
  const owner = {}
  const find = (alias: string, of: object = owner, userId = key().userId) =>
    cache.lookUpAlias(userId, alias, of, new Moment(clock))
  cache.setAlias(key(), 'a', owner)
  t.equal(find('a'), undefined, 'nothing is cached')
  const value = await cache.getOrFetch(key(), async () => ['a'])
  cache.setAlias(key(), 'a', owner)
  clock.tick(20_000)
  t.strictSame(find('a'), { key: key(), value, ageMs: 20_000, ttlMs: 40_000 })
  t.match(cache.stats(), { hits: 1, misses: 1 })
  t.equal(find('a', {}), undefined, 'another owner')
  t.equal(find('a', owner, 'bob'), undefined, 'another user')
  cache.setAlias(key(), 'b', owner)
  t.equal(find('a'), undefined, 'an entry has one alias')
  t.equal(find('b')?.value, value)

  // A lookup by alias is a use.
  await cache.getOrFetch(key({ folderId: 'other' }), async () => 'other')
  find('b')
  await cache.getOrFetch(key({ folderId: 'third' }), async () => 'third')
  t.equal(find('b')?.value, value)

  cache.invalidateFolder(key())
  t.equal(find('b'), undefined, 'invalidated')
  await cache.getOrFetch(key(), async () => ['new'])
  t.equal(find('b'), undefined, 'an alias ends with its entry')
  cache.setAlias(key(), 'b', owner)
  clock.suspend(59_999)
  t.same(find('b')?.value, ['new'])
  clock.suspend(1)
  t.equal(find('b'), undefined, 'expired')
})

t.test('an entry that has expired by either clock is not found, and is dropped', async (t) => {
  for (const end of ['tick', 'suspend'] as const) {
    const { cache, clock, lookUp } = make()
    await cache.getOrFetch(key(), async () => 1)
    clock.tick(1_000)
    clock[end](58_999)
    t.match(lookUp(key()), { ageMs: 59_999, ttlMs: 1 }, end)
    clock[end](1)
    t.equal(cache.stats().entries, 1)
    t.equal(lookUp(key()), undefined, end)
    t.match(cache.stats(), { entries: 0, bytes: 0, hits: 1, evictions: 0, invalidations: 0 })
    t.equal(cache.invalidateFolder(key()), 0, 'it is removed from the index')
  }
  const { cache, clock, lookUp } = make()
  await cache.getOrFetch(key(), async () => 1)
  clock.setBack(3_600_000)
  clock.tick(60_000)
  t.equal(lookUp(key()), undefined, 'setting back the wall clock does not extend a lifetime')
})

t.test('a lookup counts as a use, and another entry is evicted first', async (t) => {
  const { cache, lookUp } = make({ max: 2 })
  for (const folderId of ['a', 'b']) await cache.getOrFetch(key({ folderId }), async () => folderId)
  lookUp(key({ folderId: 'a' }))
  await cache.getOrFetch(key({ folderId: 'c' }), async () => 'c')
  t.equal(lookUp(key({ folderId: 'b' })), undefined)
  t.equal(lookUp(key({ folderId: 'a' }))?.value, 'a')
})

t.test('a load in flight is neither found nor joined', async (t) => {
  const { cache, lookUp } = make()
  const { calls, fetch } = fetcher<number>()
  const answer = cache.getOrFetch(key(), fetch)
  t.equal(lookUp(key()), undefined)
  t.match(cache.stats(), { joins: 0, hits: 0, loads: 1, inFlight: 1 })
  calls[0]!.result.resolve(1)
  await answer
  t.equal(lookUp(key())?.value, 1)
  const ahead = cache.fetchAhead(key({ variant: '2' }), fetch, new AbortController().signal)
  t.equal(lookUp(key({ variant: '2' })), undefined)
  calls[1]!.result.resolve(2)
  await ahead
  t.equal(lookUp(key({ variant: '2' }))?.value, 2)
})

t.test('a resized value counts with its current size', async (t) => {
  let size = 100
  const { cache } = make({ maxBytes: 1000, sizeOf: () => size })
  const value = await cache.getOrFetch(key(), async () => ['a'])
  size = 350.2
  t.ok(cache.resize(key(), value))
  t.match(cache.stats(), { bytes: 351, entries: 1, evictions: 0 })
  t.equal(await cache.getOrFetch(key(), mustNotFetch), value, 'it is still cached')
  size = 10
  t.ok(cache.resize(key(), value))
  t.equal(cache.stats().bytes, 10)
  cache.invalidateConnection('c1')
  t.match(cache.stats(), { bytes: 0, entries: 0 })
})

t.test('a growing value evicts the least recently used entries and never itself', async (t) => {
  let size = 100
  const { cache, lookUp } = make({ maxBytes: 300, sizeOf: () => size })
  const [first] = await Promise.all(
    ['a', 'b', 'c'].map((folderId) => cache.getOrFetch(key({ folderId }), async () => [folderId]))
  )
  size = 200
  t.ok(cache.resize(key({ folderId: 'a' }), first), 'it was the least recently used one itself')
  t.match(cache.stats(), { bytes: 300, entries: 2, evictions: 1 })
  t.equal(lookUp(key({ folderId: 'b' })), undefined)
  t.equal(lookUp(key({ folderId: 'a' }))?.value, first)
  size = 300
  t.ok(cache.resize(key({ folderId: 'a' }), first))
  t.match(cache.stats(), { bytes: 300, entries: 1, evictions: 2 })
})

t.test('a value that is too large, replaced or dropped is not resized', async (t) => {
  let size = 100
  const { cache, lookUp } = make({ maxBytes: 300, sizeOf: () => size })
  const value = await cache.getOrFetch(key(), async () => ['a'])
  await cache.getOrFetch(key({ folderId: 'b' }), async () => ['b'])
  size = 301
  t.notOk(cache.resize(key(), value))
  t.match(cache.stats(), { bytes: 200, entries: 2, evictions: 0 }, 'it is unchanged, and so are the others')
  size = 150
  t.notOk(cache.resize(key(), ['a']), 'an equal value is not the cached one')
  t.notOk(cache.resize(key({ folderId: 'b' }), value), 'cached for another folder')
  t.notOk(cache.resize(key({ folderId: 'none' }), value))
  t.equal(cache.stats().bytes, 200)
  cache.invalidateFolder(key())
  t.notOk(cache.resize(key(), value))
  const { calls, fetch } = fetcher<string[]>()
  const loading = cache.getOrFetch(key(), fetch)
  t.notOk(cache.resize(key(), value), 'a value in flight is not cached yet')
  calls[0]!.result.resolve(['a'])
  await loading
  t.notOk(cache.resize(key(), value), 'a value that was loaded since is another one')
  t.match(cache.stats(), { bytes: 250, entries: 2 })
  t.ok(lookUp(key()))
  size = NaN
  t.throws(() => cache.resize(key(), value), /sizeOf/)
})

const PARTS = ['userId', 'provider', 'folderId', 'connectionId', 'variant'] as const
const hostile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('', '__proto__', 'constructor', '0', '1', '-', ' ', ':', 'a:b', '1:a') },
  { weight: 1, arbitrary: anyText({ maxLength: 3 }) }
)
const anyKey = fc.record({
  userId: hostile.filter((part) => part !== ''),
  provider: hostile,
  folderId: fc.option(hostile),
  connectionId: fc.option(hostile, { nil: undefined }),
  variant: fc.option(hostile, { nil: undefined })
}) as fc.Arbitrary<FolderKey>

/** Two keys that differ in any number of parts, or in none. */
const twoKeys = fc
  .tuple(anyKey, anyKey, fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }))
  .map(([a, other, isOther]): [FolderKey, FolderKey] => [
    a,
    Object.fromEntries(PARTS.map((part, i) => [part, isOther[i] ? other[part] : a[part]])) as unknown as FolderKey
  ])

t.test('a key finds its own entry, and a key that differs in any part does not', async (t) => {
  const check = async ([a, b]: [FolderKey, FolderKey]): Promise<boolean> => {
    const { cache, lookUp } = make()
    const isSame = PARTS.every((part) => a[part] === b[part])
    await cache.getOrFetch(a, async () => 'a')
    const before = lookUp(b)?.value
    const own = await cache.getOrFetch(b, async () => 'b')
    const after = [lookUp(a)?.value, lookUp(b)?.value]
    const { entries } = cache.stats()
    cache.clear()
    const { entries: left, bytes } = cache.stats()
    const gone = [lookUp(a), lookUp(b), left, bytes]
    const expected = isSame ? ['a', 'a', 'a', 'a', 1] : [undefined, 'b', 'a', 'b', 2]
    return isDeepStrictEqual([before, own, ...after, entries, ...gone], [...expected, undefined, undefined, 0, 0])
  }
  await fc.assert(fc.asyncProperty(twoKeys, check), { numRuns: 1000 })
  t.pass('no two keys are mistaken for each other')
})

t.test('a connection id that two users and two providers share is dropped for all of them', async (t) => {
  const { cache } = make()
  const { calls, fetch } = fetcher<number>()
  const all = [key(), key({ userId: 'bob' }), key({ provider: 'box' }), key({ userId: 'bob', folderId: null })]
  for (const each of all) await cache.getOrFetch(each, async () => 1)
  await cache.getOrFetch(key({ userId: 'bob', connectionId: 'c2' }), async () => 1)
  const loading = cache.getOrFetch(key({ userId: 'eve' }), fetch)
  t.equal(cache.dropConnection('c1'), 5)
  t.equal(cache.stats().entries, 1)
  calls[0]!.result.resolve(1)
  await loading
  await nextTurn()
  t.equal(cache.stats().entries, 1, 'its load in flight is not cached')
  t.equal(cache.dropConnection('c1'), 0)
})
