import t, { type Test } from 'tap'
import { monotonicMs } from '../support/cluster/clock.ts'
import { requestListing } from '../support/cluster/listing.ts'
import type { ClusterProcess } from '../support/cluster/process-client.ts'
import { ClusterRedis } from '../support/cluster/redis.ts'
import { ClusterWorld } from '../support/cluster/world.ts'
import { isPostgresInstalled } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { isRedisInstalled } from '../support/redis/redis.ts'
import { until } from '../support/time/until.ts'

const LEASE_MS = 1_000
const CHECK_MS = 1_000
const FEED_LAG_MS = 500
/** The documented time in which a watched folder is checked. It is shorter here, by the check interval. */
const EVENT_BOUND_MS = 30_000
/** A lease, one look at it, and the time that a busy machine may need. Without an end, a stream lasts 15 minutes. */
const END_BOUND_MS = LEASE_MS + 1_000 + 10_000
const ACCOUNT = 'account'
const USER = 'ann'

/** A client that reads a folder, and reads it again after each event. */
class Watcher {
  /** The folders that events have named. */
  readonly named: string[] = []
  /** The number of changes that the latest listing contains. */
  epoch = -1
  endedAt: number | null = null
  failure: unknown
  readonly #process: ClusterProcess
  readonly #folder: string

  private constructor(process: ClusterProcess, folder: string) {
    this.#process = process
    this.#folder = folder
  }

  static async open(process: ClusterProcess, connectionId: string, folder: string): Promise<Watcher> {
    const watcher = new Watcher(process, folder)
    const path = `/cloud/events?connection=${connectionId}&folder=${folder}`
    const { statusCode, body } = await process.stream({ path, user: USER })
    if (statusCode !== 200) throw new Error(`The stream is refused with ${String(statusCode)}`)
    watcher.#follow(body).then(
      () => (watcher.endedAt = monotonicMs()),
      (error: unknown) => (watcher.failure = error)
    )
    // As the picker does: what has changed before the stream is seen by reading.
    await watcher.#read()
    return watcher
  }

  async #follow(body: AsyncIterable<Buffer>): Promise<void> {
    let text = ''
    for await (const chunk of body) {
      text += chunk.toString()
      const parts = text.split('\n\n')
      text = parts.pop() ?? ''
      for (const part of parts.filter((each) => !each.startsWith(':'))) {
        const data = JSON.parse(part.replace('event: changed\ndata: ', '')) as { folder: string }
        this.named.push(data.folder)
        await this.#read()
      }
    }
  }

  async #read(): Promise<void> {
    const { listing } = await requestListing(this.#process, { userId: USER, folder: this.#folder })
    // After the end of the connection there is none.
    if (listing !== null) this.epoch = listing.view.epoch
  }
}

t.test('event streams of several processes', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const world = await ClusterWorld.start(t)
  await trial(t, world, 'each for itself')
  if (!requireService(t, 'redis', isRedisInstalled)) return
  const redis = await ClusterRedis.start(t)
  await trial(t, world, 'with Redis', redis)

  await t.test(
    'a process that is stopped by SIGTERM ends its streams, and the client connects to another',
    async (t) => {
      const connectionId = await serve(world, redis)
      const [first, second] = processesOf(world)
      const watchers = [await Watcher.open(first, connectionId, 'one'), await Watcher.open(second, connectionId, 'one')]
      t.equal(await first.terminate(), 0, 'the exit code')
      await until(() => watchers[0]?.endedAt !== null)
      t.equal(watchers[0]?.failure, undefined, 'a clean end')
      t.equal(watchers[1]?.endedAt, null)
      const next = await Watcher.open(second, connectionId, 'one')
      world.cloud.change(ACCOUNT, 'one')
      const { length } = world.cloud.changesOf(ACCOUNT, 'one')
      await until(() => next.epoch === length && watchers[1]?.epoch === length)
    }
  )
})

async function trial(t: Test, world: ClusterWorld, name: string, redis?: ClusterRedis): Promise<void> {
  await t.test(`${name}: a change reaches the clients of all processes`, async (t) => {
    const connectionId = await serve(world, redis)
    const processes = processesOf(world)
    const watchers = await Promise.all(processes.map((process) => Watcher.open(process, connectionId, 'one')))
    for (let round = 0; round < 3; round += 1) {
      const changedAt = monotonicMs()
      world.cloud.change(ACCOUNT, 'one')
      world.cloud.change(ACCOUNT, 'not watched')
      const { length } = world.cloud.changesOf(ACCOUNT, 'one')
      await until(() => watchers.every(({ epoch }) => epoch === length))
      const tookMs = monotonicMs() - changedAt
      t.comment(`all clients have the change after ${Math.round(tookMs)} ms`)
      t.ok(tookMs < EVENT_BOUND_MS)
    }
    t.same(new Set(watchers.flatMap(({ named }) => named)), new Set(['one']))
    t.ok(watchers.every(({ endedAt, failure }) => endedAt === null && failure === undefined))
  })

  await t.test(`${name}: a connection that is removed at one process ends the streams of all`, async (t) => {
    for (const isNotified of [true, false]) {
      // Checks confirm the lease too.
      const connectionId = await serve(world, redis, isNotified)
      const [first, second] = processesOf(world)
      const watchers = [await Watcher.open(first, connectionId, 'one'), await Watcher.open(second, connectionId, 'one')]
      if (!isNotified) world.verdict = () => 'drop'
      const path = `/cloud/connections/${connectionId}`
      const removed = await first.send({ path, user: USER, method: 'DELETE' })
      t.equal(removed.status, 204)
      await until(() => watchers.every(({ endedAt, failure }) => endedAt !== null || failure !== undefined))
      t.same(
        watchers.map(({ failure }) => failure),
        [undefined, undefined],
        'a clean end'
      )
      const tookMs = watchers.map(({ endedAt }) => Math.round((endedAt ?? 0) - removed.sentAt))
      t.comment(`the streams ended after ${tookMs.join(' and ')} ms, ${isNotified ? 'with' : 'without'} a notification`)
      t.ok(tookMs.every((ms) => ms < END_BOUND_MS))
      await t.rejects(Watcher.open(second, connectionId, 'one'), { message: /404/ })
    }
  })
}

/** Returns the id of the only connection. */
async function serve(world: ClusterWorld, redis?: ClusterRedis, hasFeed = true): Promise<string> {
  await world.serve({
    leaseMs: LEASE_MS,
    ...(hasFeed && { checkMs: CHECK_MS }),
    ...(redis !== undefined && { redisUrl: redis.directUrl })
  })
  world.cloud.feedLagMs = FEED_LAG_MS
  return await world.rows.add(USER, ACCOUNT)
}

function processesOf({ processes: [first, second] }: ClusterWorld): [ClusterProcess, ClusterProcess] {
  if (first === undefined || second === undefined) throw new Error('There are too few processes')
  return [first, second]
}
