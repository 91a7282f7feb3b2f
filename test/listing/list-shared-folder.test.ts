import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { SharedTier } from '../../src/cache/shared-tier.ts'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { SharedPages } from '../../src/redis/shared-pages.ts'
import { ManualClock } from '../support/time/clock.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

/** Returns the used heap bytes after a garbage collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}

t.test('listings of many folders with long ids take bounded memory in the process and in Redis', async (t) => {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const shared = new SharedPages({
    redis,
    sealer: createBytesSealer(createKeyRing({ current: 'k', keys: { k: 'k'.repeat(42) + 'A' } }), 'test'),
    clock,
    pageTtlMs: 60_000,
    leaseMs: 2_000,
    maxPagesPerUser: 250,
    maxBytesPerUser: 1 << 20,
    random: () => 0,
    onOutcome: () => {},
    onUnavailable: () => {},
    onRecovered: () => {}
  })
  const { connections, backend, list } = createTestListing({ leaseMs: 2_000, shared, clock })
  connections.add()
  const listMany = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      const folderId = randomBytes(4096).toString('hex')
      await (i % 2 === 0 ? list({ folderId }) : list({ folderId, refresh: true }))
      backend.listCalls.length = 0
    }
    await shared.flush()
    // Redis removes expired entries.
    clock.tick(2_000)
    for (const [key, { expiresAt: endsAt }] of redis.values) if (endsAt <= clock.now()) redis.values.delete(key)
    redis.commands.length = 0
  }
  await listMany(300)
  const before = heapBytes()
  await listMany(1_200)
  const grown = heapBytes() - before
  t.ok(grown < 4 * 1024 * 1024, `the heap has grown by ${grown} bytes, the ids had 10 MB`)
  const inRedis = [...redis.values].reduce((sum, [key, { value }]) => sum + key.length + value.length, 0)
  t.ok(inRedis < 1 << 20, `${inRedis} bytes in Redis`)
})

t.test('a listing of one process is served by another with its age, and refresh applies to all', async (t) => {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const sealer = createBytesSealer(createKeyRing({ current: 'k', keys: { k: 'k'.repeat(42) + 'A' } }), 'test')
  const make2 = () => {
    const shared = new SharedPages({
      redis,
      sealer,
      clock,
      pageTtlMs: 60_000,
      leaseMs: 2_000,
      maxPagesPerUser: 250,
      maxBytesPerUser: 16 * 1024 * 1024,
      random: () => 0,
      onOutcome: () => {},
      onUnavailable: () => {},
      onRecovered: () => {}
    })
    return { ...createTestListing({ leaseMs: 2_000, shared, clock }), shared }
  }
  const [one, two] = [make2(), make2()]
  const row = one.connections.add()
  two.connections.rows.set(row.id, row)
  one.backend.list = async () => page([entry('a')])
  const first = await one.list()
  await one.shared.flush()
  clock.tick(20_000)
  const second = await two.list()
  t.same(second.body, first.body)
  t.equal(second.etag, first.etag)
  t.match(second.status, { isShared: true, ageMs: 20_000, ttlMs: 40_000, stored: true })
  t.match((await two.list()).status, { outcome: 'hit', ageMs: 20_000, isShared: undefined })
  t.same(two.connections.reads, ['listSealed'])
  t.equal(two.backend.listCalls.length, 0)

  one.backend.list = async () => page([entry('b')])
  await one.list({ refresh: true })
  await one.shared.flush()
  t.equal((await two.list()).body.entries[0]?.name, 'a', 'for a lease at most')
  clock.tick(2_000)
  t.equal((await two.list()).body.entries[0]?.name, 'b')
  t.equal(two.backend.listCalls.length, 0)

  const limited = await two.list({ limit: 7 })
  t.equal(limited.status.isShared, undefined)
  clock.tick(60_000)
  await two.list()
  t.equal(two.backend.listCalls.length, 2, 'the lifetime of a page begins with its first load in any process')
})

t.test('a shared page is not served for a connection that has changed meanwhile', async (t) => {
  const clock = new ManualClock()
  let onPage = () => {}
  const shared: SharedTier = {
    getGeneration: () => 'g',
    getOrLoad: async () => {
      onPage()
      return { bytes: Buffer.from('{"entries":["secret"]}'), ageMs: 0 }
    },
    invalidate: () => {},
    flush: async () => {},
    close: async () => {}
  }
  const { connections, list } = createTestListing({ leaseMs: 2_000, shared, clock })
  const { id } = connections.add()
  onPage = () => {
    clock.tick(2_000)
    connections.change(id, { status: 'DISABLED' })
  }
  await t.rejects(list({ connectionId: id }), { code: 'CONNECTION_INACTIVE' })
})

t.test('a hit that needed a read of the tier is not served for a connection that has changed meanwhile', async (t) => {
  const clock = new ManualClock()
  let onAsked = () => {}
  const shared: SharedTier = {
    getGeneration: async () => {
      onAsked()
      return 'g'
    },
    getOrLoad: async (_userId, _key, load) => ({ bytes: await load(), ageMs: 0 }),
    invalidate: () => {},
    flush: async () => {},
    close: async () => {}
  }
  const { connections, list } = createTestListing({ leaseMs: 2_000, shared, clock })
  const { id } = connections.add()
  await list({ connectionId: id })
  t.equal((await list({ connectionId: id })).status.outcome, 'hit')
  onAsked = () => {
    clock.tick(2_000)
    connections.change(id, { status: 'DISABLED' })
  }
  await t.rejects(list({ connectionId: id }), { code: 'CONNECTION_INACTIVE' })
})
