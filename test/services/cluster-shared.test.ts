import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { monotonicMs, waitUntil } from '../support/cluster/clock.ts'
import type { ClusterProcess } from '../support/cluster/process-client.ts'
import { requestListing, type ListingResponse, type ListingRequest } from '../support/cluster/listing.ts'
import { ClusterRedis } from '../support/cluster/redis.ts'
import { runTrial } from '../support/cluster/trial.ts'
import { ClusterWorld } from '../support/cluster/world.ts'
import { isPostgresInstalled } from '../support/database/postgres.ts'
import { isRedisInstalled } from '../support/redis/redis.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const LEASE_MS = 1000
const READERS = 1000
/** The time for a message to arrive, on a busy machine. */
const MOMENT_MS = 300
const pause = () => setTimeout(50)

t.test('four processes that share a Redis', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  if (!requireService(t, 'redis', isRedisInstalled)) return
  const world = await ClusterWorld.start(t)
  const redis = await ClusterRedis.start(t)
  await alone(t, world)
  await cold(t, world, redis)
  await refreshed(t, world, redis)
  await vanished(t, world, redis)
  await restarted(t, world, redis)
  await tried(t, world, redis)
  await secret(t, world, redis)
  // Must be last: it leaves one process less.
  await killed(t, world, redis)
})

/** Starts all processes with a shared tier. */
async function shared(world: ClusterWorld, redis: ClusterRedis, redisUrl = redis.url): Promise<void> {
  await world.serve({ leaseMs: LEASE_MS, redisUrl })
  await redis.waitUntilShared(world, pause)
}

/** Sends concurrent requests, distributed over the processes. */
function readAll(
  processes: readonly ClusterProcess[],
  count: number,
  request: ListingRequest
): Promise<ListingResponse[]> {
  const readers = Array.from({ length: count }, (_, n) => processes[n % processes.length]!)
  return Promise.all(readers.map((process) => requestListing(process, request)))
}

function failures(answers: readonly ListingResponse[]): string[] {
  return answers.filter(({ status }) => status !== 200).map(({ status, code }) => `${status} ${code ?? ''}`)
}

async function alone(t: Test, world: ClusterWorld): Promise<void> {
  await t.test(`without sharing, ${READERS} cold readers make one call per process`, async (t) => {
    await world.serve({ leaseMs: LEASE_MS })
    await world.rows.add('ann', 'account')
    world.cloud.delayMs = () => 500
    t.same(failures(await readAll(world.processes, READERS, { userId: 'ann', folder: 'alone' })), [])
    t.ok(world.cloud.callCount('alone') <= world.processes.length)
  })
}

async function cold(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test(`with sharing, ${READERS} cold readers make one call in total`, async (t) => {
    await shared(world, redis, redis.directUrl)
    await world.rows.add('ann', 'account')
    world.cloud.delayMs = () => 500
    t.same(failures(await readAll(world.processes, READERS, { userId: 'ann', folder: 'cold' })), [])
    t.equal(world.cloud.callCount('cold'), 1)
  })
}

async function killed(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('when the process that loads for all is killed, one other loads, and all get responses', async (t) => {
    await shared(world, redis)
    await world.rows.add('ann', 'account')
    const { cloud } = world
    const [first, ...others] = world.processes as [ClusterProcess, ...ClusterProcess[]]
    const request = { userId: 'ann', folder: 'killed' }
    const gate = cloud.hold(request.folder)
    const lost = t.rejects(requestListing(first, request))
    await until(() => gate.heldCount === 1)
    const answers = readAll(others, 90, request)
    await waitUntil(monotonicMs() + MOMENT_MS)
    t.equal(cloud.callCount(request.folder), 1, 'the others wait for the load')
    await first.kill()
    await lost
    const killedAt = monotonicMs()
    await until(() => gate.heldCount > 1)
    t.comment(`another process loads after ${Math.round(monotonicMs() - killedAt)} ms`)
    gate.release()
    t.same(failures(await answers), [])
    t.equal(cloud.callCount(request.folder), 2)
  })
}

async function refreshed(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('a listing that one process has refreshed is served by all within a lease', async (t) => {
    await shared(world, redis)
    await world.rows.add('ann', 'account')
    const request = { userId: 'ann', folder: 'folder' }
    for (const process of world.processes) await requestListing(process, request)
    const epoch = world.cloud.advance('account')
    const [first, ...others] = world.processes as [ClusterProcess, ...ClusterProcess[]]
    const { sentAt, listing: shown } = await requestListing(first, { ...request, isRefresh: true })
    t.equal(shown?.view.epoch, epoch)
    const afterMs = await Promise.all(
      others.map(async (process) => {
        while (monotonicMs() < sentAt + 3 * LEASE_MS) {
          const answer = await requestListing(process, request)
          if (answer.listing?.view.epoch === epoch) return answer.arrivedAt - sentAt
          await setTimeout(5)
        }
        return Infinity
      })
    )
    t.comment(`after ${afterMs.map(Math.round).join(', ')} ms`)
    t.ok(afterMs.every((ms) => ms < LEASE_MS + MOMENT_MS))
    const again = await readAll(world.processes, 100, request)
    t.equal(again.filter((answer) => answer.listing?.view.epoch !== epoch).length, 0, 'the new listing stays')
  })
}

const ROUNDS = 4
const HITS = 800
const CONCURRENCY = 4
/** The pause between two hits: on a fully loaded machine, delays would be invisible. */
const IDLE_MS = 3
const FOLDERS = Array.from({ length: 10 }, (_, n) => `folder-${n}`)

async function vanished(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('a Redis that stops responding slows down no hit, and nothing fails', async (t) => {
    await shared(world, redis)
    await world.rows.add('ann', 'account')
    const answers: ListingResponse[] = []
    const tookMs: Record<'with' | 'without', number[]> = { with: [], without: [] }
    let asked = 0

    async function hit(took: number[], round: string): Promise<void> {
      const process = world.processes[(asked += 1) % world.processes.length]!
      const from = monotonicMs()
      const folder = `${round}-kept-${FOLDERS[randomInt(FOLDERS.length)]!}`
      const answer = await requestListing(process, { userId: 'ann', folder })
      took.push(monotonicMs() - from)
      answers.push(answer)
      if (!answer.isHit) t.fail('not a hit')
      await setTimeout(IDLE_MS)
    }

    /** Includes a few misses, for which the process calls Redis. The measurement is shorter than a listing's TTL. */
    async function measure(took: number[], round: string): Promise<void> {
      for (const process of world.processes) {
        for (const folder of FOLDERS) {
          answers.push(await requestListing(process, { userId: 'ann', folder: `${round}-kept-${folder}` }))
        }
      }
      let left = HITS
      const hits = Array.from({ length: CONCURRENCY }, async () => {
        while (left-- > 0) await hit(took, round)
      })
      const misses = FOLDERS.map((folder) =>
        readAll(world.processes, 1, { userId: 'ann', folder: `${round}-${folder}` })
      )
      answers.push(...(await Promise.all(misses)).flat())
      await Promise.all(hits)
    }

    for (let round = 0; round < ROUNDS; round += 1) {
      await measure(tookMs.with, `with-${round}`)
      redis.disconnect()
      await measure(tookMs.without, `without-${round}`)
      redis.reconnect()
      await redis.waitUntilShared(world, pause)
    }
    t.same(failures(answers), [])
    const [before, during] = [p99(tookMs.with), p99(tookMs.without)]
    t.comment(
      `p99 of ${tookMs.with.length} hits ${before.toFixed(1)} ms, of ${tookMs.without.length} ${during.toFixed(1)} ms`
    )
    t.ok(during / before < 2, `${(during / before).toFixed(2)} times as long`)
  })
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? NaN
}

async function restarted(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('a Redis that is killed and started again is used again, and nothing fails', async (t) => {
    await shared(world, redis)
    await world.rows.add('ann', 'account')
    const answers: ListingResponse[] = []
    const enough = new AbortController()
    const asking = world.processes.map(async (process, n) => {
      for (let asked = 0; !enough.signal.aborted; asked += 1) {
        // A hit and a miss.
        for (const folder of ['folder', `folder-${n}-${asked}`]) {
          answers.push(await requestListing(process, { userId: 'ann', folder }))
        }
        await setTimeout(10)
      }
    })
    const more = async (count: number) => {
      const before = answers.length
      await until(() => answers.length > before + count)
    }
    await more(100)
    await redis.server.kill()
    await more(300)
    await redis.server.start()
    await redis.waitUntilShared(world, pause)
    await more(100)
    enough.abort()
    await Promise.all(asking)
    t.same(failures(answers), [])
    t.comment(`${answers.length} answers`)
  })
}

async function tried(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('no response is older than its lease allows, whatever happens to Redis', async (t) => {
    const moreFaults = redis.faults(() => setTimeout(randomInt(300, 1500)))
    const options = { leaseMs: LEASE_MS, durationMs: 25_000, redisUrl: redis.url, moreFaults: () => moreFaults }
    const report = await runTrial(world, options)
    for (const comment of report.comments) t.comment(comment)
    t.same(report.violations.slice(0, 5), [])
    t.ok(report.steady.listed / report.steady.requested > 0.98, 'a steady connection gets a listing')
    t.ok(report.hits > 400 && report.changes > 60 && report.lost > 60 && report.stale > 20, 'enough events happened')
    for (const fault of Object.keys(moreFaults)) t.ok(report.faultCounts[fault]! > 1, fault)
  })
}

async function secret(t: Test, world: ClusterWorld, redis: ClusterRedis): Promise<void> {
  await t.test('keys and values in Redis contain no user, connection, folder or token in plain text', async (t) => {
    await shared(world, redis)
    const id = await world.rows.add('user-of-whom-nobody-knows', 'account-of-whom-nobody-knows')
    const request = { userId: 'user-of-whom-nobody-knows', folder: 'folder-of-which-nobody-knows' }
    const { listing: shown } = await requestListing(world.processes[0]!, request)
    const told = [request.userId, request.folder, id, shown!.view.account, shown!.view.token]
    const hidden = told.flatMap((text) => [text, Buffer.from(text).toString('hex'), btoa(text).replaceAll('=', '')])
    const contents = await redis.contents()
    t.ok(contents.length > 1, `${contents.length} keys and values`)
    for (const text of hidden)
      t.notOk(
        contents.some((bytes) => bytes.includes(text)),
        text
      )
  })
}
