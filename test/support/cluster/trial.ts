import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { EventLoop } from './clock.ts'
import { ClusterDisturber, type Faults } from './disturber.ts'
import { ClusterDriver } from './driver.ts'
import { ClusterJudge } from './judge.ts'
import type { ListingAnswer } from './listing.ts'
import { ClusterRandom } from './random.ts'
import type { ClusterWorld, ServeOptions } from './world.ts'

export interface TrialOptions extends ServeOptions {
  /** A random seed by default. */
  readonly seed?: number
  readonly durationMs: number
  /** The lease that the responses must satisfy. Defaults to the lease of the processes. */
  readonly promisedMs?: number
  /** Whether faults are injected, besides lost notifications. Default true. */
  readonly isBroken?: boolean
  /** Additional faults. */
  readonly moreFaults?: Faults
}

export interface TrialReport {
  readonly answers: number
  readonly hits: number
  /** Responses with a listing or a 304. */
  readonly listings: number
  /** Responses with a 304. */
  readonly unmodified: number
  readonly changes: number
  readonly lost: number
  readonly late: number
  /** The number of times each fault happened. */
  readonly happened: Readonly<Record<string, number>>
  /** Descriptions of responses that violate the guarantee. */
  readonly violations: readonly string[]
  /** Responses that would violate it if the last check happened at sending, but may have been checked earlier. */
  readonly excused: number
  /** Responses that were outdated within the lease, which is allowed. */
  readonly old: number
  /** The longest time that such a listing had been outdated, in milliseconds. */
  readonly oldestMs: number
  /** Requests of users with active connections and without changes, and how many of them returned a listing. */
  readonly steady: { readonly asked: number; readonly listed: number }
  readonly refusals: Readonly<Record<string, number>>
  /** The longest possible time between the last validity check of a response and its sending, in milliseconds. */
  readonly slack: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
  /** A summary for the test output. */
  readonly comments: readonly string[]
}

/** `CLUSTER_SEED=1234` repeats the random choices of an earlier run, but not its timing. */
const SEED = process.env['CLUSTER_SEED'] === undefined ? undefined : Number(process.env['CLUSTER_SEED'])
const USERS = Array.from({ length: 12 }, (_, n) => `user-${n}`)
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
    moreFaults = {}
  } = options
  await world.serve(options)
  const random = new ClusterRandom(seed)
  const disturber = new ClusterDisturber(world, random, USERS)
  await disturber.populate()
  world.cloud.delayMs = (folder) => {
    if (folder === 'slow') return random.between(50, 400)
    return folder === 'slower' ? random.between(300, 2_000) : 0
  }
  disturber.lose()
  for (const process of world.processes) await process.lateness()
  const loop = new EventLoop()
  const driver = new ClusterDriver(world, { random, users: USERS, folders: FOLDERS })
  const faults = { ...(isBroken && disturber.faults()), ...moreFaults }
  await forAWhile(durationMs, (signal) => [
    driver.run(signal),
    disturber.change(signal),
    disturber.break(faults, signal)
  ])
  loop.stop()
  const lateness = await Promise.all(world.processes.map((process) => process.lateness()))
  const judge = new ClusterJudge(world.rows.history, promisedMs)
  const report = { ...judgeAll(judge, driver.answers), changes: world.rows.changes, happened: disturber.happened }
  const { lost, late } = world.messages
  const words = (values: object) => JSON.stringify(values, (_, value: unknown) => rounded(value))
  return {
    ...report,
    lost,
    late,
    comments: [
      `seed ${seed}`,
      words({ ...report, violations: report.violations.length, messages: { lost, late } }),
      `timers came late by, in the processes: ${words(lateness)}, here: ${words(loop.lateness())}`
    ]
  }
}

/** Resolves when all work has ended. Rejects early if some of it fails. */
async function forAWhile(durationMs: number, begin: (signal: AbortSignal) => Promise<void>[]): Promise<void> {
  const enough = new AbortController()
  const working = begin(enough.signal)
  try {
    await Promise.race([setTimeout(durationMs), failureOf(working)])
  } finally {
    enough.abort()
    await Promise.allSettled(working)
  }
  await Promise.all(working)
}

/** Never resolves; rejects on the first failure. */
async function failureOf(working: readonly Promise<void>[]): Promise<never> {
  await Promise.all(working)
  return await new Promise<never>(() => undefined)
}

function judgeAll(judge: ClusterJudge, answers: readonly ListingAnswer[]) {
  const violations: string[] = []
  const refusals: Record<string, number> = {}
  const steady = { asked: 0, listed: 0 }
  let excused = 0
  let old = 0
  let oldestMs = 0
  for (const answer of answers) {
    const { faults, oldMs } = judge.judge(answer)
    for (const fault of faults) violations.push(`${fault}: ${JSON.stringify(answer)}`)
    if (faults.length === 0 && judge.judge({ ...answer, lookedAfter: answer.sentAt }).faults.length > 0) excused += 1
    if (oldMs > 0) old += 1
    oldestMs = Math.max(oldestMs, oldMs)
    const isListed = answer.shown !== null
    if (!isListed) {
      const refusal = answer.code ?? String(answer.status)
      refusals[refusal] = (refusals[refusal] ?? 0) + 1
    }
    if (!judge.isSteady(answer)) continue
    steady.asked += 1
    if (isListed) steady.listed += 1
  }
  const slacks = answers.map(({ lookedAfter, sentAt }) => sentAt - lookedAfter).sort((a, b) => a - b)
  const at = (share: number) => slacks[Math.min(slacks.length - 1, Math.floor(share * slacks.length))] ?? 0
  return {
    answers: answers.length,
    hits: answers.filter(({ isHit }) => isHit).length,
    listings: answers.filter(({ shown }) => shown !== null).length,
    unmodified: answers.filter(({ status }) => status === 304).length,
    violations,
    excused,
    old,
    oldestMs,
    steady,
    refusals,
    slack: { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
  }
}

function rounded(value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 10) / 10 : value
}
