import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { EventLoop } from './clock.ts'
import { ClusterNemesis, type Faults } from './nemesis.ts'
import { ClusterDriver } from './driver.ts'
import { ConsistencyChecker } from './checker.ts'
import type { ListingResponse } from './listing.ts'
import { ClusterRandom } from './random.ts'
import type { ClusterWorld, ServeOptions } from './world.ts'

export interface TrialOptions extends ServeOptions {
  /** A random seed by default. */
  readonly seed?: number
  /** It takes longer if some fault has not happened until then. */
  readonly durationMs: number
  /** The lease that the responses must satisfy. Defaults to the lease of the processes. */
  readonly promisedMs?: number
  /** Whether faults are injected, besides lost notifications. Default true. */
  readonly isBroken?: boolean
  /** Additional faults, which choose by the trial's random numbers. */
  readonly moreFaults?: (random: ClusterRandom) => Faults
}

export interface TrialReport {
  readonly responses: number
  readonly hits: number
  /** Responses with a listing or a 304. */
  readonly listings: number
  /** Responses with a 304. */
  readonly unmodified: number
  readonly changes: number
  /** Changes that were lost with a database. */
  readonly lostChanges: number
  readonly lost: number
  readonly late: number
  /** The number of times each fault happened. */
  readonly faultCounts: Readonly<Record<string, number>>
  /** Descriptions of responses that violate the guarantee. */
  readonly violations: readonly string[]
  /** Responses that would violate it if the last check happened at sending, but may have been checked earlier. */
  readonly borderline: number
  /** Responses that were outdated within the lease, which is allowed. */
  readonly stale: number
  /** The longest time that such a listing had been outdated, in milliseconds. */
  readonly maxStaleMs: number
  /** Requests of users with active connections and without changes, and how many of them returned a listing. */
  readonly steady: { readonly requested: number; readonly listed: number }
  readonly errorCounts: Readonly<Record<string, number>>
  /** The longest possible time between the last validity check of a response and its sending, in milliseconds. */
  readonly slack: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
  /** A summary for the test output. */
  readonly comments: readonly string[]
}

/** `CLUSTER_SEED=1234` repeats the random choices of an earlier run, but not its timing. */
const SEED = process.env['CLUSTER_SEED'] === undefined ? undefined : Number(process.env['CLUSTER_SEED'])
const USER_IDS = Array.from({ length: 12 }, (_, n) => `user-${n}`)
const FAST_FOLDERS = ['one', 'two', 'three', 'four']
/** With slow folders, so that changes happen during a listing. They are rare, as a waiting user sends no requests. */
const FOLDERS = [...Array<string[]>(8).fill(FAST_FOLDERS).flat(), 'slow', 'slower']

/** Sends requests to all processes while connections change and notifications are lost. Then judges each response. */
export async function runTrial(world: ClusterWorld, options: TrialOptions): Promise<TrialReport> {
  const {
    seed = SEED ?? randomInt(2 ** 31),
    durationMs,
    leaseMs,
    promisedMs = leaseMs,
    isBroken = true,
    moreFaults = () => ({})
  } = options
  await world.serve(options)
  const random = new ClusterRandom(seed)
  const nemesis = new ClusterNemesis(world, random, USER_IDS)
  await nemesis.populate()
  world.cloud.delayMs = (folder) => {
    if (folder === 'slow') return random.between(50, 400)
    return folder === 'slower' ? random.between(300, 2_000) : 0
  }
  nemesis.disturbNotifications()
  for (const process of world.processes) await process.lateness()
  const loop = new EventLoop()
  const driver = new ClusterDriver(world, { random, users: USER_IDS, folders: FOLDERS })
  const faults = { ...(isBroken && nemesis.faults()), ...moreFaults(random) }
  const isLongEnough = Promise.all([setTimeout(durationMs), nemesis.firstRound])
  await runUntil(isLongEnough, (signal) => [
    driver.run(signal),
    nemesis.changeConnections(signal),
    nemesis.injectFaults(faults, signal)
  ])
  loop.stop()
  const lateness = await Promise.all(world.processes.map((process) => process.lateness()))
  const checker = new ConsistencyChecker(world.rows.history, promisedMs)
  const report = {
    ...checkAll(checker, driver.responses),
    changes: world.rows.changes,
    lostChanges: world.rows.lost,
    faultCounts: nemesis.faultCounts
  }
  const { lost, late } = world.messages
  const toJson = (values: object) => JSON.stringify(values, (_, value: unknown) => rounded(value))
  return {
    ...report,
    lost,
    late,
    comments: [
      `seed ${seed}`,
      toJson({ ...report, violations: report.violations.length, messages: { lost, late } }),
      `timers came late by, in the processes: ${toJson(lateness)}, here: ${toJson(loop.lateness())}`
    ]
  }
}

/** Ends the work after `isLongEnough`, and resolves when it has ended. Rejects early if some of it fails. */
async function runUntil(
  isLongEnough: Promise<unknown>,
  start: (signal: AbortSignal) => Promise<void>[]
): Promise<void> {
  const controller = new AbortController()
  const running = start(controller.signal)
  try {
    await Promise.race([isLongEnough, firstFailure(running)])
  } finally {
    controller.abort()
    await Promise.allSettled(running)
  }
  await Promise.all(running)
}

/** Never resolves; rejects on the first failure. */
async function firstFailure(running: readonly Promise<void>[]): Promise<never> {
  await Promise.all(running)
  return await new Promise<never>(() => undefined)
}

function checkAll(checker: ConsistencyChecker, responses: readonly ListingResponse[]) {
  const violations: string[] = []
  const errorCounts: Record<string, number> = {}
  const steady = { requested: 0, listed: 0 }
  let borderline = 0
  let stale = 0
  let maxStaleMs = 0
  for (const response of responses) {
    const { violations: faults, staleMs } = checker.check(response)
    for (const fault of faults) violations.push(`${fault}: ${JSON.stringify(response)}`)
    if (faults.length === 0 && checker.check({ ...response, lastCheckedAfter: response.sentAt }).violations.length > 0)
      borderline += 1
    if (staleMs > 0) stale += 1
    maxStaleMs = Math.max(maxStaleMs, staleMs)
    const isListed = response.listing !== null
    if (!isListed) {
      const code = response.code ?? String(response.status)
      errorCounts[code] = (errorCounts[code] ?? 0) + 1
    }
    if (!checker.isSteady(response)) continue
    steady.requested += 1
    if (isListed) steady.listed += 1
  }
  const slackTimes = responses.map(({ lastCheckedAfter, sentAt }) => sentAt - lastCheckedAfter).sort((a, b) => a - b)
  const percentile = (share: number) =>
    slackTimes[Math.min(slackTimes.length - 1, Math.floor(share * slackTimes.length))] ?? 0
  return {
    responses: responses.length,
    hits: responses.filter(({ isHit }) => isHit).length,
    listings: responses.filter(({ listing }) => listing !== null).length,
    unmodified: responses.filter(({ status }) => status === 304).length,
    violations,
    borderline,
    stale,
    maxStaleMs,
    steady,
    errorCounts,
    slack: { p50Ms: percentile(0.5), p99Ms: percentile(0.99), maxMs: percentile(1) }
  }
}

function rounded(value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 10) / 10 : value
}
