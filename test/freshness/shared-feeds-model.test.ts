import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { SharedPages } from '../../src/redis/shared-pages.ts'
import { ChangingCloud, contentText, MISSING } from '../support/listing/changing-cloud.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { type CloudSchedule, decoder, holds, LONG, releaseUntil, scheduleOf } from '../support/listing/schedules.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { ManualClock } from '../support/time/clock.ts'
import { nextTurn } from '../support/time/deferred.ts'

const CHECK_MS = 15_000
/** Other instances find the old pages for so long after an invalidation. */
const LEASE_MS = 2_000
const FEED_LAG_MS = 5_000
const FOLDERS = ['a', null, 'b', 'c', 'd']
const PARENTS = ['root', 'a', 'b', 'c', 'd']
const ITEMS = ['f1', 'f2', 'f3', 'f5', 'c', 'b', 'd', 'a']

const keyRing = createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } })

/** Locks are always granted, as to instances that were paused: every check may overlap with others. */
class LocklessRedis extends MemoryRedis {
  override set(key: string, value: string | Buffer, unit: 'PX', ms: number, condition?: 'NX'): Promise<unknown> {
    if (key.includes(':lock:')) return Promise.resolve('OK')
    return super.set(key, value, unit, ms, condition)
  }
}

const schedule = scheduleOf<number>({
  rules: (choose) => ({
    style: (['ids', 'ids', 'marked', 'unnamed', 'marks'] as const)[choose(5)]!,
    feedLagMs: FEED_LAG_MS,
    listLagMs: 0
  }),
  failsOneIn: 4,
  maxSteps: 60,
  toSteps: (codes) => codes
})

const totals = { covered: 0, hits: 0, shared: 0, dropped: 0 }

async function run({ rules, steps, fates }: CloudSchedule<number>): Promise<void> {
  const clock = new ManualClock()
  const redis = new LocklessRedis(clock)
  let calls = 0
  const cloud = new ChangingCloud(
    rules,
    () => clock.date(),
    () => fates[calls++ % fates.length]!
  )
  const instances = [0, 1, 2].map(() => {
    const shared = new SharedPages({
      redis,
      sealer: createBytesSealer(keyRing, 'test'),
      clock,
      pageTtlMs: 60_000,
      coveredTtlMs: 3_600_000,
      leaseMs: LEASE_MS,
      maxPagesPerUser: 1_000,
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
      hasReadAhead: false,
      freshness: { checkMsOf: () => CHECK_MS, records: shared.records }
    })
    listing.connections.add({ id: 'connection' })
    const { listFolder, ...feed } = cloud.backend()
    Object.assign(listing.backend, feed, { list: listFolder })
    return listing
  })

  const failures: string[] = []
  const readFolder = async (at: number, folderId: string | null): Promise<void> => {
    const begunAt = clock.date()
    let content: string
    let boundMs = 60_000
    try {
      const { body, isCovered, status } = await instances[at]!.list({ folderId })
      content = contentText(body.entries.map(({ name }) => name))
      if (isCovered) {
        totals.covered += 1
        boundMs = CHECK_MS + FEED_LAG_MS
        if (status.isShared === true) totals.shared += 1
      }
      if (status.outcome === 'hit') totals.hits += 1
    } catch (error) {
      if ((error as { code?: string }).code !== 'FOLDER_NOT_FOUND') throw error
      content = MISSING
    }
    const valid = cloud.contentsSince(folderId, begunAt - boundMs)
    if (!valid.has(content)) failures.push(`${at} ${folderId}: "${content}"; valid: "${[...valid].join('", "')}"`)
  }

  const reads: Promise<void>[] = []
  const saved: (typeof redis.values)[] = []
  for (const step of steps) {
    const choose = decoder(step)
    const action = choose(24)
    if (action < 11) reads.push(readFolder(choose(3), FOLDERS[choose(FOLDERS.length)]!))
    else if (action < 14) cloud.put(ITEMS[choose(ITEMS.length)]!, PARENTS[choose(PARENTS.length)]!, choose(10) / 10)
    else if (action < 15) cloud.remove(ITEMS[choose(ITEMS.length)]!, choose(2) === 0, choose(10) / 10)
    else if (action < 19) clock.tick([1, 1_000, 4_000, 8_000, 16_000][choose(5)]!)
    else if (action < 21) cloud.release(1)
    else if (action < 22) {
      const what = choose(3)
      if (what === 0) redis.values.clear()
      else if (what === 1) saved.push(new Map(redis.values))
      // What an instance that was paused would write.
      else for (const [key, value] of saved.pop() ?? []) redis.values.set(key, value)
    } else if (action < 23) redis.mode = redis.mode === 'up' ? 'fails' : 'up'
    else if (choose(4) === 0) cloud.losePositions()
    await settle()
    if (failures.length > 0) throw new Error(failures.join('\n'))
  }
  await releaseUntil(cloud, Promise.all(reads))
  if (failures.length > 0) throw new Error(failures.join('\n'))
  totals.dropped += instances.reduce((sum, { counts }) => sum + counts.droppedByFeed, 0)
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await nextTurn()
}

t.test('instances that share a feed serve no covered listing that is older than promised', LONG, async (t) => {
  await holds(t, schedule, run, { defaultRuns: 1_000, totals })
})
