import t from 'tap'
import type { SharedTier } from '../../src/cache/shared-tier.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { createTestListing, type RequestOverrides } from '../support/listing/listing.ts'
import { entry, page, pages } from '../support/backend/scripted-backend.ts'

const LEASE = { leaseMs: 2_000 }

t.test('a cached listing of a leased connection is returned without a read, a call or a promise', async (t) => {
  const { clock, connections, backend, cached: kept, list } = createTestListing(LEASE)
  const { id } = connections.add()
  t.equal(kept(), undefined, 'nothing is cached')
  backend.list = async () => page([entry('a')])
  const loaded = await list()
  clock.tick(1_500)
  connections.reads = []
  for (const connectionId of [undefined, id]) {
    const found = kept({ connectionId })
    t.strictSame([found?.body, found?.etag], [loaded.body, loaded.etag])
    t.strictSame(found?.status, { outcome: 'hit', ageMs: 1_500, ttlMs: 58_500, stored: true })
  }
  t.strictSame(connections.reads, [])
  t.equal(backend.listCalls.length, 1)
})

t.test('no cached listing is returned for a connection without a valid lease', async (t) => {
  const without = createTestListing()
  const { id } = without.connections.add()
  await without.list()
  for (const connectionId of [undefined, id]) t.equal(without.cached({ connectionId }), undefined)

  const { clock, connections, leases, cached: kept, list } = createTestListing(LEASE)
  const row = connections.add()
  await list()
  t.ok(kept())
  clock.tick(2_000)
  t.equal(kept(), undefined, 'its lease has expired')
  await list()
  t.ok(kept())
  clock.suspend(2_000)
  t.equal(kept(), undefined, 'leases expire during a sleep of the machine')
  await list()
  leases.onNotification({ ...row, version: 2, isRemoved: false })
  t.equal(kept(), undefined, 'the connection has changed')
  connections.change(row.id, {})
  await list({ folderId: 'other' })
  t.equal(kept(), undefined, 'a listing of the previous version is not returned')
})

t.test('an expired listing is not returned, although the connection is leased', async (t) => {
  const { clock, connections, cached: kept, list } = createTestListing({ leaseMs: 300_000 })
  connections.add()
  await list()
  clock.tick(59_999)
  t.ok(kept())
  clock.tick(1)
  t.equal(kept(), undefined)
})

t.test('a repeated request finds its listing by its parameters while its user is leased', async (t) => {
  const { clock, connections, leases, listings, cached, list } = createTestListing(LEASE)
  const row = connections.add()
  const repeat = (parameters = 'root', userId = 'ann') => listings.lookUpRepeated(userId, parameters)
  await list()
  t.equal(repeat(), undefined, 'only a hit is remembered')
  const hit = cached({}, 'root')
  t.ok(hit)
  const { reads } = connections
  t.strictSame(repeat()?.listing.identity.etag, hit?.etag)
  t.strictSame(repeat()?.status, { outcome: 'hit', ageMs: 0, ttlMs: 60_000, stored: true })
  t.equal(repeat('other'), undefined)
  t.equal(repeat('root', 'bob'), undefined)
  t.equal(connections.reads, reads)

  clock.tick(2_000)
  t.equal(repeat(), undefined, 'the lease has ended')
  await list()
  t.ok(repeat(), 'the poll has found no change')
  leases.onNotification({ ...row, version: 2, isRemoved: false })
  t.equal(repeat(), undefined, 'the user has changed')
  await list({ folderId: 'other' })
  t.equal(repeat(), undefined, 'what is leased now may be another connection')
})

t.test('a listing of a shared tier is not found by its parameters', async (t) => {
  const shared: SharedTier = {
    getGeneration: () => 'g1',
    getOrLoad: async (_userId, _key, load) => ({ bytes: await load(), ageMs: 0 }),
    invalidate: () => {},
    flush: async () => {},
    close: async () => {}
  }
  const { connections, listings, cached, list } = createTestListing({ ...LEASE, shared })
  connections.add()
  await list()
  t.ok(cached({}, 'root'))
  t.equal(listings.lookUpRepeated('ann', 'root'), undefined)
})

t.test('a refresh does not return the cached listing', async (t) => {
  const { connections, cached: kept, list } = createTestListing(LEASE)
  connections.add()
  await list()
  t.ok(kept())
  t.equal(kept({ refresh: true }), undefined)
  t.ok(kept(), 'the lookup drops nothing')
})

t.test('with a shared tier a cached listing is returned while its generation is known', async (t) => {
  let generation: string | Promise<string> = 'g1'
  const shared: SharedTier = {
    getGeneration: () => generation,
    getOrLoad: async (_userId, _key, load) => ({ bytes: await load(), ageMs: 0 }),
    invalidate: () => {},
    flush: async () => {},
    close: async () => {}
  }
  const { connections, cached: kept, list } = createTestListing({ ...LEASE, shared })
  connections.add()
  await list()
  t.ok(kept())
  generation = Promise.resolve('g1')
  t.equal(kept(), undefined, 'the tier must be read')
  t.equal((await list()).status.outcome, 'hit', 'the asynchronous path finds it')
  generation = 'g2'
  t.equal(kept(), undefined, 'another process has refreshed')
})

t.test('a foreign value under a key of the plugin is not returned as a listing', async (t) => {
  const { connections, cache, cached: kept, list } = createTestListing(LEASE)
  const { id } = connections.add()
  await list({ folderId: 'other' })
  const variant = '1 0 - 200 any '
  const key = { userId: 'ann', provider: 'scripted', folderId: null, connectionId: id, variant }
  const value = await cache.getOrFetch(key, async () => ({ entries: [] }))
  t.equal(kept(), undefined)
  t.equal(cache.stats().hits, 1, 'the entry was found under the key')
  t.equal(await cache.getOrFetch(key, async () => null), value)
})

t.test('a page is found by its sealed cursor without opening it', async (t) => {
  const { connections, backend, sealer, cached: kept, list } = createTestListing(LEASE)
  connections.add()
  backend.list = pages(2)
  const cursor = (await list()).body.page.next!
  t.equal(kept({ cursor }), undefined)
  const loaded = await list({ cursor })
  t.equal(sealer.openCount, 1)
  for (let i = 0; i < 10; i += 1) t.strictSame(kept({ cursor })?.body, loaded.body)
  await nextTurn()
  t.equal(sealer.openCount, 1)
})

t.test('a page that was loaded ahead is found by its cursor too', async (t) => {
  const { connections, backend, sealer, cached: kept, list } = createTestListing(LEASE)
  connections.add()
  backend.list = pages(3)
  const first = await list()
  const second = await list({ cursor: first.body.page.next! })
  await nextTurn()
  t.equal(sealer.openCount, 2, 'it was opened for the load')
  t.strictSame(kept({ cursor: second.body.page.next! })?.body.entries[0]?.name, 'p3')
  t.equal(sealer.openCount, 2)
})

t.test('an unknown cursor is refused without a load', async (t) => {
  const { connections, backend, cache, cached: kept, list } = createTestListing(LEASE)
  connections.add()
  backend.list = pages(9)
  const cursor = (await list()).body.page.next!
  await list({ cursor })
  await nextTurn()
  const { loads } = cache.stats()
  for (const forged of [`${cursor}x`, cursor.slice(1), `${cursor} `, ` ${cursor}`, 'nonsense']) {
    t.equal(kept({ cursor: forged }), undefined, forged)
    await t.rejects(list({ cursor: forged }), { code: 'INVALID_CURSOR' }, forged)
  }
  await nextTurn()
  t.equal(cache.stats().loads, loads)
  t.equal(backend.listCalls.length, 3)
})

t.test('a cursor finds pages of its own listing only', async (t) => {
  const { connections, backend, cached: kept, list } = createTestListing(LEASE)
  const { id } = connections.add({ isDefault: true })
  const other = connections.add()
  const bobs = connections.add({ userId: 'bob' })
  const elsewhere = connections.add({ provider: 'elsewhere' })
  backend.list = pages(2)
  const own = { connectionId: id, limit: 5 }
  const cursor = (await list(own)).body.page.next!
  await list({ ...own, cursor })
  // All of these connections are leased, so a miss is not caused by a missing lease.
  await list({ connectionId: other.id })
  await list({ userId: 'bob' })
  await list({ provider: 'elsewhere' })
  t.ok(kept({ ...own, cursor }))
  const strangers: RequestOverrides[] = [
    { ...own, userId: 'bob' },
    { ...own, userId: 'bob', connectionId: undefined },
    { ...own, userId: 'bob', connectionId: bobs.id },
    { ...own, connectionId: other.id },
    { ...own, provider: 'elsewhere' },
    { ...own, provider: 'elsewhere', connectionId: elsewhere.id },
    { ...own, folderId: 'f' },
    { ...own, folderId: '' },
    { ...own, limit: 6 },
    { ...own, kind: 'file' },
    { ...own, kind: 'folder' }
  ]
  const { length } = backend.listCalls
  for (const over of strangers) {
    t.equal(kept({ ...over, cursor }), undefined, JSON.stringify(over))
    await t.rejects(list({ ...over, cursor }), { code: /INVALID_CURSOR|CONNECTION_NOT_FOUND/ }, JSON.stringify(over))
  }
  t.equal(backend.listCalls.length, length)
})
