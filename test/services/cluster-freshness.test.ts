import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { monotonicMs } from '../support/cluster/clock.ts'
import { type ListingResponse, requestListing } from '../support/cluster/listing.ts'
import { ClusterRandom } from '../support/cluster/random.ts'
import { ClusterRedis } from '../support/cluster/redis.ts'
import { ClusterWorld } from '../support/cluster/world.ts'
import { isPostgresInstalled } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { isRedisInstalled } from '../support/redis/redis.ts'

const LEASE_MS = 1_000
const CHECK_MS = 2_000
const FEED_LAG_MS = 700
/** Wall-clock times in Redis are rounded to milliseconds. */
const ROUNDING_MS = 5
const ACCOUNT = 'account'
/** Nothing changes in the last one. */
const FOLDERS = ['one', 'two', 'three', 'four', 'still']
const SEED = Number(process.env.CLUSTER_SEED ?? Date.now() & 0x7fffffff)

t.test('four processes that follow one feed', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const world = await ClusterWorld.start(t)
  t.comment(`CLUSTER_SEED=${SEED}`)

  await t.test('each for itself: no response is older than promised', async (t) => {
    await trial(t, world)
  })

  if (!requireService(t, 'redis', isRedisInstalled)) return
  const redis = await ClusterRedis.start(t)
  await t.test('with Redis: no response is older than promised', async (t) => {
    await trial(t, world, redis)
  })

  await t.test('with Redis they send about one check in an interval', async (t) => {
    await serve(world, redis)
    const { cloud, processes } = world
    await readAll(world)
    const from = cloud.checkTimes.length
    const startedAt = monotonicMs()
    while (monotonicMs() < startedAt + 6 * CHECK_MS) await readAll(world)
    const count = cloud.checkTimes.length - from
    // Active readers begin the next check after half of the interval.
    const due = (monotonicMs() - startedAt) / (CHECK_MS / 2)
    t.comment(
      `${count} checks; ${Math.round(due)} are due for one process, and ${processes.length} processes have read`
    )
    t.ok(count >= 3 && count < due * 1.7 + 2)
  })

  await t.test('without a check the promise is broken: this test can fail', async (t) => {
    await serve(world, redis, 30_000)
    const { violations } = await readAndChange(world, 4 * CHECK_MS)
    t.ok(violations.length > 10, `${violations.length} violations`)
  })
})

async function serve(world: ClusterWorld, redis?: ClusterRedis, checkMs = CHECK_MS): Promise<void> {
  world.cloud.calls.length = 0
  await world.serve({ leaseMs: LEASE_MS, checkMs, ...(redis !== undefined && { redisUrl: redis.directUrl }) })
  world.cloud.feedLagMs = FEED_LAG_MS
  await world.rows.add('ann', ACCOUNT)
}

async function readAll({ processes }: ClusterWorld): Promise<void> {
  await Promise.all(
    processes.map(async (process) => {
      for (const folder of FOLDERS) await requestListing(process, { userId: 'ann', folder })
      await setTimeout(20)
    })
  )
}

async function trial(t: Test, world: ClusterWorld, redis?: ClusterRedis): Promise<void> {
  await serve(world, redis)
  await readAll(world)
  const { violations, responses, changes, pauses, maxAgeMs } = await readAndChange(world, 16_000)
  const loads = world.cloud.callCount('still')
  t.comment(
    `${responses.length} responses, ${changes} changes, ${pauses} pauses, the oldest was ${Math.round(maxAgeMs)} ms old; ${loads} loads of an unchanged folder`
  )
  t.same(violations.slice(0, 5), [])
  t.ok(responses.length > 500 && responses.filter(({ isHit }) => isHit).length > 200 && changes > 30 && pauses > 1)
  t.ok(loads < responses.filter(({ folder }) => folder === 'still').length / 3, 'unchanged pages stay')
  t.ok(maxAgeMs > FEED_LAG_MS, 'the lag of the feed had an effect')
}

/** Reads from all processes while folders change, and processes are paused and go on. */
async function readAndChange(world: ClusterWorld, durationMs: number) {
  const { cloud, processes } = world
  const random = new ClusterRandom(SEED)
  const counts = { changes: 0, pauses: 0 }
  const responses: (ListingResponse & { readonly folder: string })[] = []
  const until = monotonicMs() + durationMs
  const isOver = (): boolean => monotonicMs() >= until
  const reading = processes.flatMap((process) =>
    [1, 2].map(async () => {
      while (!isOver()) {
        const folder = random.pick(FOLDERS)
        responses.push({ ...(await requestListing(process, { userId: 'ann', folder })), folder })
        await setTimeout(random.between(5, 60))
      }
    })
  )
  const changing = (async () => {
    while (!isOver()) {
      await setTimeout(random.between(50, 500))
      cloud.change(ACCOUNT, random.pick(FOLDERS.slice(0, -1)))
      counts.changes += 1
    }
  })()
  const pausing = (async () => {
    while (!isOver()) {
      await setTimeout(random.between(200, 1_500))
      const process = random.pick(processes)
      process.pause()
      await setTimeout(random.between(100, 1.5 * CHECK_MS))
      process.resume()
      counts.pauses += 1
    }
  })()
  await Promise.all([...reading, changing, pausing])
  let maxAgeMs = 0
  const violations: string[] = []
  for (const { folder, listing, arrivedAt, status, code } of responses) {
    if (listing === null) {
      violations.push(`${status} ${code ?? ''}`)
      continue
    }
    // The next change made the content old.
    const next = cloud.changesOf(ACCOUNT, folder)[listing.view.epoch]
    const ageMs = next === undefined ? 0 : arrivedAt - next.at
    maxAgeMs = Math.max(maxAgeMs, ageMs)
    if (ageMs > CHECK_MS + FEED_LAG_MS + ROUNDING_MS) violations.push(`${folder} has been old for ${ageMs} ms`)
  }
  return { ...counts, responses, violations, maxAgeMs }
}
