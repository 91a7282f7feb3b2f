import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { EventLoop } from './cluster-clock.ts'
import { ClusterDisturber, type Faults } from './cluster-disturber.ts'
import { ClusterDriver } from './cluster-driver.ts'
import { ClusterJudge } from './cluster-judge.ts'
import type { ListingAnswer } from './cluster-listing.ts'
import { ClusterRandom } from './cluster-random.ts'
import type { ClusterWorld, ServeOptions } from './cluster-world.ts'

export interface TrialOptions extends ServeOptions {
  /** Default: another one each time. */
  readonly seed?: number
  readonly durationMs: number
  /** The lease that the answers have to keep. Default: the one that the processes are given. */
  readonly promisedMs?: number
  /** Whether the processes are disturbed, and not only not told. Default true. */
  readonly isBroken?: boolean
  /** What else goes wrong. */
  readonly moreFaults?: Faults
}

export interface TrialReport {
  readonly answers: number
  readonly hits: number
  /** Those that listed something, or said that it still is so. */
  readonly listings: number
  /** Those that said that. */
  readonly unmodified: number
  readonly changes: number
  readonly lost: number
  readonly late: number
  /** How often each fault happened. */
  readonly happened: Readonly<Record<string, number>>
  /** Each answer that breaks the promise, in words. */
  readonly violations: readonly string[]
  /** Those that would break it, had they been looked at when they were sent, and were perhaps looked at before. */
  readonly excused: number
  /** How many showed what was over already, as they may within the lease. */
  readonly old: number
  /** The longest that this had been over, in milliseconds. */
  readonly oldestMs: number
  /** Requests of users whose connections were good and left alone, and how many of them were answered with a listing. */
  readonly steady: { readonly asked: number; readonly listed: number }
  readonly refusals: Readonly<Record<string, number>>
  /** Between the last look of an answer and its sending at most, in milliseconds. */
  readonly slack: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }
  /** What of all this somebody who reads the test's output wants to know. */
  readonly comments: readonly string[]
}

/** `CLUSTER_SEED=1234`: what an earlier run said that its seed was. Its chances come again, its timing does not. */
const SEED = process.env['CLUSTER_SEED'] === undefined ? undefined : Number(process.env['CLUSTER_SEED'])
const USERS = Array.from({ length: 12 }, (_, n) => `user-${n}`)
const FAST_FOLDERS = ['one', 'two', 'three', 'four']
/** Changes come while these are being listed. They are asked for seldom: whoever waits asks for nothing else. */
const FOLDERS = [...Array<string[]>(8).fill(FAST_FOLDERS).flat(), 'slow', 'slower']

/** Users who ask all processes while their connections change and messages are lost; then each answer is judged. */
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

/** Ends with the last of it, and soon where something of it fails. */
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

/** Settled only by a failure. */
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
