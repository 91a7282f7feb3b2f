import t from 'tap'
import type { Change, FeedPage, PageFreshness } from '../../src/core/change-feed.ts'
import type { Connection } from '../../src/core/connection.ts'
import { StorageError } from '../../src/errors.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { createTestListing, type ListingOptions } from '../support/listing/listing.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'

const UNCHANGED = { position: 'p', changes: [], hasMore: false }

function change(overrides: Partial<Change>): Change {
  return { id: null, path: null, parentId: null, isFolder: false, isGone: false, concerns: 'item', ...overrides }
}

/** A leased connection whose pages are covered by the feed of the root's scope, unless `freshness` says otherwise. */
function coveredListing(freshness: PageFreshness | null = { scope: '' }, options: ListingOptions = {}) {
  const listing = createTestListing({ leaseMs: 1_000_000_000, freshness: {}, ...options })
  listing.connections.add()
  const { backend } = listing
  const calls = { positions: [] as string[], changes: [] as [string, string][], marks: [] as string[] }
  const feed = {
    position: async (scope: string) => `start of ${scope}`,
    changes: async (): Promise<FeedPage> => UNCHANGED,
    isCurrent: async () => true
  }
  let loaded = 0
  backend.list = async () => {
    loaded += 1
    return { ...page([entry(`x${loaded}`)]), freshness }
  }
  backend.position = async (scope) => {
    calls.positions.push(scope)
    return await feed.position(scope)
  }
  backend.changes = async (scope, position) => {
    calls.changes.push([scope, position])
    return await feed.changes()
  }
  backend.isCurrent = async (_folderId, mark) => {
    calls.marks.push(mark)
    return await feed.isCurrent()
  }
  const names = async (folderId: string | null = 'f') => {
    const { body, status } = await listing.list({ folderId })
    return [body.entries[0]?.name, status.outcome, status.isConfirmed === true] as const
  }
  return { ...listing, calls, feed, names }
}

t.test('a covered page is confirmed by one check when it is older than the interval', async (t) => {
  const { names, clock, calls, cached, checks, backend } = coveredListing()
  t.same(await names(), ['x1', 'miss', false])
  t.same(calls.positions, [''], 'the position precedes the load')
  clock.tick(14_999)
  t.same(await names(), ['x1', 'hit', false])
  await nextTurn()
  calls.changes = []
  clock.tick(15_000)
  t.equal(cached({ folderId: 'f' }), undefined, 'not without a check')
  t.same(await Promise.all([names(), names(), names()]), Array(3).fill(['x1', 'hit', true]))
  t.same(calls.changes, [['', 'p']], 'one check from the last position serves all')
  t.same(cached({ folderId: 'f' })?.status, { outcome: 'hit', ageMs: 0, ttlMs: 15_000, stored: true }, 'Age')
  t.equal(backend.listCalls.length, 1)
  t.match(checks.at(-1), ['scripted', 0, 'unchanged'])
  clock.suspend(15_000)
  t.same(await names(), ['x1', 'hit', true], 'a suspended machine counts')
  clock.tick(3_600_000)
  t.same(await names(), ['x2', 'miss', false], 'the lifetime of a covered page is limited')
})

t.test('a reader in the second half of the interval starts the next check and does not wait', async (t) => {
  const { names, clock, calls, cached } = coveredListing()
  await names()
  clock.tick(7_499)
  t.ok(cached({ folderId: 'f' }))
  t.same(calls.changes, [])
  clock.tick(1)
  for (let i = 0; i < 3; i += 1) t.ok(cached({ folderId: 'f' }))
  await nextTurn()
  t.equal(calls.changes.length, 1)
  clock.tick(14_000)
  t.ok(cached({ folderId: 'f' }), 'the interval has begun anew')
})

t.test('a check drops what has changed, and only that', async (t) => {
  const { names, clock, feed, counts } = coveredListing()
  await names('f')
  await names('g')
  clock.tick(15_000)
  const pages: FeedPage[] = [
    { position: 'q', changes: [change({ id: 'new', parentId: 'f' })], hasMore: true },
    { position: 'r', changes: [], hasMore: false }
  ]
  feed.changes = async () => pages.shift() ?? UNCHANGED
  t.same(await names('f'), ['x3', 'miss', true])
  t.same(await names('g'), ['x2', 'hit', false])
  t.equal(counts.droppedByFeed, 1)
})

t.test('all pages of a connection are dropped if the changes cannot be known', async (t) => {
  const many = Array.from({ length: 1_001 }, () => change({ id: 'far', parentId: 'away' }))
  const answers: Record<string, () => unknown> = {
    'a lost position': () => 'lost',
    'an endless feed': () => ({ ...UNCHANGED, hasMore: true }),
    'too many changes': () => ({ ...UNCHANGED, changes: many }),
    nothing: () => undefined,
    'a change that is none': () => ({ ...UNCHANGED, changes: [null] }),
    'an endless position': () => ({ ...UNCHANGED, position: 'p'.repeat(4_097) })
  }
  for (const [name, answer] of Object.entries(answers)) {
    const { names, clock, feed, calls, checks } = coveredListing()
    await names('f')
    await names('g')
    clock.tick(15_000)
    feed.changes = async () => answer() as FeedPage
    t.same(await names('f'), ['x3', 'miss', false], name)
    t.same(await names('g'), ['x4', 'miss', false], name)
    t.equal(checks.at(-1)?.[2], 'lost', name)
    t.ok(calls.changes.length <= 5, name)
    t.same(calls.positions, ['', ''], 'a new position is taken before the next load')
    feed.changes = async () => UNCHANGED
    clock.tick(15_000)
    t.same(await names('f'), ['x3', 'hit', true], name)
  }
})

t.test('a page expires if its check fails, and no other check follows at once', async (t) => {
  const { names, clock, feed, calls, checks } = coveredListing()
  await names('f')
  await names('g')
  clock.tick(15_000)
  feed.changes = async () => {
    throw new StorageError('PROVIDER_UNAVAILABLE')
  }
  t.same(await names('f'), ['x3', 'miss', false])
  t.same(await names('g'), ['x4', 'miss', false])
  t.equal(calls.changes.length, 1)
  t.match(checks, [['scripted', 0, 'failed']])
  feed.changes = async () => UNCHANGED
  clock.tick(15_000)
  t.same(await names('f'), ['x3', 'hit', true], 'its position is still known')
})

t.test('with staleIfErrorMs a page is served during an outage, and not if the feed refuses access', async (t) => {
  const { names, clock, feed, list, cached } = coveredListing({ scope: '' }, { freshness: { staleIfErrorMs: 60_000 } })
  await names()
  clock.tick(20_000)
  feed.changes = async () => {
    throw new StorageError('PROVIDER_THROTTLED')
  }
  const stale = await list({ folderId: 'f' })
  t.match(stale.status, { outcome: 'hit', ageMs: 20_000, ttlMs: -5_000, isStale: true })
  t.equal(stale.body.entries[0]?.name, 'x1')
  t.equal(cached({ folderId: 'f' }), undefined, 'the next reader checks again')
  clock.tick(54_999)
  t.same(await names(), ['x1', 'hit', false])
  clock.tick(1)
  t.same(await names(), ['x2', 'miss', false], 'not for longer')
  clock.tick(20_000)
  feed.changes = async () => {
    throw new StorageError('ACCESS_DENIED')
  }
  t.same(await names(), ['x3', 'miss', false])
})

t.test('a page is not covered unless the position of its scope was known before its load', async (t) => {
  const { names, clock, calls, counts } = coveredListing({ scope: 'drive' })
  await names('f')
  t.same(calls.positions, ['', 'drive'], 'the position is taken for the next pages')
  t.equal(counts.uncovered, 1)
  await names('g')
  t.equal(counts.uncovered, 1)
  clock.tick(60_000)
  t.same(await names('f'), ['x3', 'miss', false], 'it has expired')
  t.same(await names('g'), ['x2', 'hit', true])
})

t.test('a load does not fail with the position, and does not wait for it again at once', async (t) => {
  const { names, clock, calls, feed, counts } = coveredListing()
  feed.position = async () => {
    throw new StorageError('PROVIDER_UNAVAILABLE')
  }
  t.same(await names('f'), ['x1', 'miss', false])
  await names('g')
  t.equal(calls.positions.length, 1)
  t.equal(counts.uncovered, 2)
  feed.position = async () => 'p'
  clock.tick(60_000)
  await names('f')
  t.equal(counts.uncovered, 2)
})

t.test('loads wait once for a position that is slow, all for the same attempt', async (t) => {
  const tick = useManualTimers(t)
  const { names, clock, calls, feed, counts } = coveredListing()
  feed.position = () => new Promise(() => {})
  const loads = [names('f'), names('g')]
  const loaded: string[] = []
  for (const load of loads) void load.then(([name]) => loaded.push(`${name}`))
  await nextTurn()
  tick(2_999)
  const late = names('h')
  await nextTurn()
  t.same(loaded, [])
  tick(1)
  await Promise.all([...loads, late])
  t.same(calls.positions, [''], 'a load that comes late waits for the rest of the attempt')
  await names('i')
  clock.tick(59_999)
  await names('j')
  t.same(calls.positions, [''])
  t.equal(counts.uncovered, 5)
  clock.tick(1)
  feed.position = async () => 'p'
  await names('k')
  t.same(calls.positions, ['', ''])
  t.equal(counts.uncovered, 5)
})

t.test('a scope without a position does not keep others from being covered', async (t) => {
  const { names, calls, feed, backend, counts } = coveredListing({ scope: 'drive' })
  feed.position = async () => {
    throw new StorageError('PROVIDER_ERROR')
  }
  backend.position = async (scope) => {
    calls.positions.push(scope)
    return scope === '' ? 'p' : await feed.position(scope)
  }
  await names('f')
  await names('g')
  t.same(calls.positions, ['', 'drive'])
  t.equal(counts.uncovered, 2)
  const { list } = backend
  backend.list = async (...args) => ({ ...(await list(...args)), freshness: { scope: '' } })
  await names('h')
  t.same(calls.positions, ['', 'drive'])
  t.equal(counts.uncovered, 2)
})

t.test('a lost position is taken again at once, even if a check has failed shortly before', async (t) => {
  const { names, clock, feed, calls, counts } = coveredListing()
  await names('f')
  clock.tick(15_000)
  feed.changes = async () => {
    throw new StorageError('PROVIDER_UNAVAILABLE')
  }
  await names('f')
  clock.tick(15_000)
  feed.changes = async () => 'lost'
  t.same(await names('f'), ['x3', 'miss', false])
  t.same(calls.positions, ['', ''])
  t.equal(counts.uncovered, 0)
})

t.test('a page is loaded once more after the settling time', async (t) => {
  const { names, clock, feed } = coveredListing({ scope: '' }, { freshness: { settleMsOf: () => 10_000 } })
  t.same(await names(), ['x1', 'miss', false])
  clock.tick(9_999)
  t.same(await names(), ['x1', 'hit', false])
  clock.tick(1)
  t.same(await names(), ['x2', 'miss', false], 'the position was taken shortly before')
  clock.tick(15_000)
  t.same(await names(), ['x2', 'hit', true])
  clock.tick(15_000)
  feed.changes = async () => ({ ...UNCHANGED, changes: [change({ id: 'new', parentId: 'f' })] })
  t.same(await names(), ['x3', 'miss', true])
  feed.changes = async () => UNCHANGED
  clock.tick(10_000)
  t.same(await names(), ['x4', 'miss', false], 'a change was read shortly before')
  clock.tick(15_000)
  t.same(await names(), ['x4', 'hit', true])
})

t.test('a page with a mark alone is confirmed by the mark', async (t) => {
  const { names, clock, feed, calls } = coveredListing({ mark: 'm' })
  await names()
  clock.tick(15_000)
  t.same(await Promise.all([names(), names()]), Array(2).fill(['x1', 'hit', true]))
  t.same(calls.marks, ['m'], 'once for all readers')
  t.same(await names(), ['x1', 'hit', false])
  clock.tick(15_000)
  feed.isCurrent = async () => false
  t.same(await names(), ['x2', 'miss', false])
})

t.test('a mark is checked ahead for pages that are opened often', async (t) => {
  const { names, clock, calls } = coveredListing({ mark: 'm' })
  await names()
  const open = async (times: number) => {
    for (let n = 0; n < times; n += 1) await names()
    await nextTurn()
    return calls.marks.length
  }
  clock.tick(7_500)
  t.equal(await open(2), 0)
  t.equal(await open(1), 1, 'at the third hit')
  clock.tick(7_400)
  t.equal(await open(2), 1, 'not in the first half of the interval')
  clock.tick(100)
  t.equal(await open(1), 2, 'which counts, too')
  clock.tick(7_500)
  t.equal(await open(2), 2, 'the hits are counted from the check')
})

t.test('checks use the open backend of a leased connection, without a query', async (t) => {
  const asked: Connection[] = []
  let isOpen = true
  const listing = coveredListing(undefined, {
    findOpen: (connection) => {
      asked.push(connection)
      return isOpen ? listing.backend : undefined
    }
  })
  const { names, clock, connections, leases, listings } = listing
  await names()
  connections.reads = []
  clock.tick(15_000)
  t.same(await names(), ['x1', 'hit', true])
  t.same(connections.reads, [])
  t.match(asked, [{ userId: 'ann', version: 1 }])
  t.notOk('sealedCredentials' in asked[0]!)

  const [row] = [...connections.rows.values()]
  const selector = { userId: 'ann', provider: 'scripted', connectionId: row!.id }
  const parameters = { limit: 200 }
  const found = listings.lookUp({ ...selector, folderId: 'f', cursor: undefined, parameters, refresh: false })
  const { open } = found.result!.listing.coverage!.feeds

  await t.test('one that is not open is read', async (t) => {
    isOpen = false
    t.equal(await open(), listing.backend)
    t.same(connections.reads, ['findSealed'])
    isOpen = true
  })

  await t.test('one that is not leased any more is read', async (t) => {
    connections.reads = []
    asked.length = 0
    leases.drop('ann')
    t.equal(await open(), listing.backend)
    t.same([connections.reads, asked], [['findSealed'], []])
  })

  await t.test('one that has changed is not used', async (t) => {
    asked.length = 0
    connections.change(row!.id, {})
    leases.drop('ann')
    await t.rejects(open())
    t.match(leases.findLeased(selector), { version: 2 }, 'the row was read')
    connections.reads = []
    await t.rejects(open())
    t.same([connections.reads, asked], [[], []])
  })
})

t.test('after a change without a name, the mark confirms a page', async (t) => {
  const { names, clock, feed, calls } = coveredListing({ scope: '', mark: 'm' })
  await names('f')
  await names('g')
  clock.tick(15_000)
  feed.changes = async () => ({ ...UNCHANGED, changes: [change({})] })
  t.same(await names('f'), ['x1', 'hit', true])
  feed.changes = async () => UNCHANGED
  t.same(calls.marks, ['m'])
  t.same(await names('f'), ['x1', 'hit', false])
  feed.isCurrent = async () => false
  t.same(await names('g'), ['x3', 'miss', false], 'it is doubtful until it is used')
})

t.test('a page that is overtaken while it is loaded is returned and not cached', async (t) => {
  const { names, clock, feed, backend } = coveredListing()
  await names('g')
  clock.tick(15_000)
  const held = new Deferred<void>()
  const { list } = backend
  backend.list = async (...args) => {
    const loaded = await list(...args)
    await held.promise
    return loaded
  }
  const loading = names('f')
  await nextTurn()
  backend.list = list
  // The item was moved out of the folder that is being loaded.
  feed.changes = async () => ({ ...UNCHANGED, changes: [change({ id: 'x2', parentId: 'away' })] })
  t.same(await names('g'), ['x1', 'hit', true])
  held.resolve()
  t.same(await loading, ['x2', 'miss', false])
  t.same(await names('f'), ['x3', 'miss', false])
})

t.test('a connection that has changed begins anew', async (t) => {
  const { names, clock, calls, connections, freshness, leases } = coveredListing()
  await names()
  const [row] = [...connections.rows.values()]
  freshness?.drop(row!.id)
  clock.tick(15_000)
  t.same(await names(), ['x2', 'miss', false], 'its pages have expired')
  t.same(calls.positions, ['', ''])
  connections.change(row!.id, {})
  leases.drop('ann')
  t.same(await names(), ['x3', 'miss', false])
  t.same(calls.positions, ['', '', ''])
})

t.test('a closed service checks no more', async (t) => {
  const { names, clock, calls, freshness } = coveredListing()
  await names()
  await freshness?.close()
  clock.tick(15_000)
  t.same(await names(), ['x2', 'miss', false])
  t.same(calls.changes, [])
})
