import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { Change, PageFreshness } from '../../src/core/change-feed.ts'
import { Moment } from '../../src/core/time.ts'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { SharedPages } from '../../src/redis/shared-pages.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { ManualClock } from '../support/time/clock.ts'

const CHECK_MS = 15_000
const SETTLE_MS = 10_000
const LEASE_MS = 2_000
const keyRing = createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } })

interface ClusterOptions {
  readonly settleMs?: number
  readonly freshness?: PageFreshness
}

/** Instances that share a Redis and a connection to one cloud, whose log is `log`. */
function cluster({ settleMs = 0, freshness = { scope: '' } }: ClusterOptions = {}) {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const log: Change[] = []
  const cloud = { isCurrent: true, positions: 0, checks: 0, marks: 0, loads: 0 }
  const start = () => {
    const shared = new SharedPages({
      redis,
      sealer: createBytesSealer(keyRing, 'test'),
      clock,
      pageTtlMs: 60_000,
      coveredTtlMs: 3_600_000,
      leaseMs: LEASE_MS,
      maxPagesPerUser: 250,
      maxBytesPerUser: 1 << 24,
      random: () => 0,
      onOutcome: () => {},
      onUnavailable: () => {},
      onRecovered: () => {}
    })
    const listing = createTestListing({
      clock,
      shared,
      leaseMs: 1_000_000_000,
      freshness: { checkMsOf: () => CHECK_MS, settleMsOf: () => settleMs, records: shared.records }
    })
    listing.connections.add({ id: 'connection' })
    const { backend } = listing
    backend.list = async () => ({ ...page([entry(`x${(cloud.loads += 1)}`)]), freshness })
    backend.isCurrent = async () => {
      cloud.marks += 1
      return cloud.isCurrent
    }
    if (freshness.scope !== undefined) {
      backend.position = async () => {
        cloud.positions += 1
        return String(log.length)
      }
      backend.changes = async (_scope, position) => {
        cloud.checks += 1
        return { position: String(log.length), changes: log.slice(Number(position)), hasMore: false }
      }
    }
    /** Returns the name of the only entry, and where it comes from. */
    const read = async (folderId: string) => {
      const { body, status, isCovered } = await listing.list({ folderId })
      await shared.flush()
      const from = status.isShared === true ? 'redis' : status.outcome === 'hit' ? 'here' : 'cloud'
      return `${body.entries[0]!.name} ${from}${isCovered ? '' : ' uncovered'}`
    }
    return { ...listing, shared, read }
  }
  return { clock, redis, log, cloud, start }
}

function change(id: string, overrides: Partial<Change> = {}): Change {
  return { id, path: null, parentId: 'elsewhere', isFolder: false, isGone: false, concerns: 'item', ...overrides }
}

t.test('a page that another instance has loaded long ago is covered here, after a check', async (t) => {
  const { clock, cloud, start } = cluster()
  const one = start()
  t.equal(await one.read('f'), 'x1 cloud')
  clock.tick(600_000)
  const two = start()
  t.equal(await two.read('f'), 'x1 redis')
  t.match(cloud, { loads: 1, positions: 1, checks: 1 })
  t.match(two.cached({ folderId: 'f' })?.status, { ageMs: 0, ttlMs: CHECK_MS })
  clock.tick(CHECK_MS)
  t.equal(await two.read('f'), 'x1 here')
  t.equal(cloud.checks, 2)
  clock.tick(3_000_000)
  t.equal(await two.read('f'), 'x2 cloud', 'its lifetime begins with its load')
})

t.test('a fresh page is used without a check, and its age counts', async (t) => {
  const { clock, cloud, start } = cluster()
  await start().read('f')
  clock.tick(6_000)
  const two = start()
  const { status, isCovered } = await two.list({ folderId: 'f' })
  t.match(status, { isShared: true, ageMs: 6_000, ttlMs: 9_000 })
  t.ok(isCovered)
  t.equal(cloud.checks, 0)
  clock.tick(9_000)
  await two.read('f')
  t.equal(cloud.checks, 1)
})

t.test('a page is compared with what was read since its load began', async (t) => {
  const { clock, log, cloud, start } = cluster()
  const [one, two] = [start(), start()]
  await one.read('f')
  await one.read('g')
  await one.read('other')
  clock.tick(CHECK_MS)
  log.push(change('y', { parentId: 'f' }))
  // The generation of `f` is that of before: only an instance that has the page begins a new one.
  const three = start()
  await three.read('other')
  t.equal(cloud.checks, 1)
  t.equal(await two.read('g'), 'x2 redis', 'the change does not name it')
  t.equal(await two.read('f'), 'x4 cloud', 'it was replaced')
  t.equal(await three.read('f'), 'x4 redis')
  t.equal(cloud.checks, 1)
})

t.test('a folder above may have changed', async (t) => {
  const { clock, log, start } = cluster()
  const one = start()
  await one.read('f')
  await one.read('other')
  clock.tick(CHECK_MS)
  log.push(change('above', { isFolder: true, isGone: true }))
  t.equal(await start().read('other'), 'x3 cloud', 'the check has found it')
  t.equal(await start().read('f'), 'x4 cloud', 'so does the record')
})

t.test('a folder above cannot have changed if the page is of the top of its scope', async (t) => {
  const { clock, log, start } = cluster({ freshness: { scope: '', isTop: true } })
  const one = start()
  await one.read('f')
  await one.read('other')
  clock.tick(CHECK_MS)
  log.push(change('above', { isFolder: true, isGone: true }))
  t.equal(await start().read('other'), 'x2 redis')
  t.equal(await start().read('f'), 'x1 redis')
})

t.test('without the record of its scope, nothing is known about a page', async (t) => {
  const { redis, start } = cluster()
  await start().read('f')
  for (const key of redis.values.keys()) if (key.includes(':record:')) redis.values.delete(key)
  t.equal(await start().read('f'), 'x2 cloud')
})

t.test('what could not be stored in the record is known nevertheless', async (t) => {
  const { clock, redis, log, start } = cluster()
  const [one, two] = [start(), start()]
  await one.read('f')
  await two.read('g')
  clock.tick(CHECK_MS)
  log.push(change('y', { parentId: 'f' }))
  redis.mode = 'fails'
  t.equal(await two.read('g'), 'x2 here')
  redis.mode = 'up'
  clock.tick(2_000)
  await two.read('probe')
  await two.read('probe')
  t.match(await two.read('f'), / cloud$/)
})

t.test('what was checked here does not count for the record of another chain', async (t) => {
  const { clock, redis, log, start } = cluster()
  const [one, two] = [start(), start()]
  await one.read('f')
  await two.read('g')
  // An instance that is paused now overwrites the record later.
  const overwritten = [...redis.values].filter(([key]) => key.includes(':record:'))
  clock.tick(CHECK_MS)
  log.push(change('y', { parentId: 'f' }))
  t.equal(await two.read('g'), 'x2 here')
  for (const [key, value] of overwritten) redis.values.set(key, value)
  t.equal(await two.read('f'), 'x3 cloud')
})

t.test('a page that was loaded soon after a change is loaded once more', async (t) => {
  const { clock, start } = cluster({ settleMs: SETTLE_MS })
  await start().read('f')
  clock.tick(9_999)
  const two = start()
  t.equal(await two.read('f'), 'x1 redis')
  clock.tick(1)
  t.equal(await two.read('f'), 'x2 cloud')
  clock.tick(SETTLE_MS)
  t.equal(await start().read('f'), 'x3 cloud')
})

t.test('a doubt is resolved by the mark', async (t) => {
  const { clock, log, cloud, start } = cluster({ freshness: { scope: '', mark: 'm' } })
  const one = start()
  await one.read('f')
  await one.read('other')
  clock.tick(CHECK_MS)
  log.push(change('?', { id: null, parentId: null }))
  t.equal(await start().read('other'), 'x2 redis')
  t.match(cloud, { checks: 1, marks: 1 })
  t.equal(await start().read('f'), 'x1 redis', 'the doubt is in the record')
  t.match(cloud, { checks: 1, marks: 2 })
  cloud.isCurrent = false
  t.equal(await start().read('f'), 'x3 cloud')
})

t.test('a page with a mark alone is confirmed by it, once for all instances', async (t) => {
  const { clock, cloud, start } = cluster({ freshness: { mark: 'm' } })
  const instances = [start(), start(), start()]
  t.equal(await instances[0]!.read('f'), 'x1 cloud')
  clock.tick(600_000)
  for (const { read } of instances.slice(1)) t.equal(await read('f'), 'x1 redis')
  t.equal(await instances[0]!.read('f'), 'x1 here')
  t.equal(cloud.marks, 1)
  clock.tick(8_000)
  for (const { read } of instances) {
    for (let hits = 0; hits < 4; hits += 1) t.equal(await read('f'), 'x1 here')
    await nextTurn()
  }
  t.equal(cloud.marks, 2, 'ahead of time')
  clock.tick(CHECK_MS)
  cloud.isCurrent = false
  t.equal(await instances[1]!.read('f'), 'x2 cloud')
})

t.test('an announced change is checked at once, whatever another instance has checked', async (t) => {
  for (const freshness of [{ scope: '' }, { mark: 'm' }]) {
    const { clock, cloud, start } = cluster({ freshness })
    const [one, two] = [start(), start()]
    await one.read('f')
    await two.read('f')
    clock.tick(CHECK_MS)
    await one.read('f')
    clock.tick(1_000)
    const [found] = two.cache.peekFolder(
      { userId: 'ann', provider: 'scripted', folderId: 'f', connectionId: 'connection' },
      new Moment(clock)
    )
    const { coverage } = found!.value as { coverage: never }
    t.equal(await two.freshness!.confirm(coverage, new AbortController().signal, 0), 'confirmed')
    t.equal(cloud.checks + cloud.marks, 2)
  }
})
