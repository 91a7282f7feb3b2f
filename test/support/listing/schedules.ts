import fc from 'fast-check'
import type { Test } from 'tap'
import { nextTurn } from '../time/deferred.ts'
import type { CallFate, ChangingCloud, CloudRules } from './changing-cloud.ts'

/** A million schedules of one instance take an hour, those of several take longer. */
export const LONG = { timeout: 7_200_000 }

/** What happens to a {@link ChangingCloud} and to those who read it. */
export interface CloudSchedule<Step> {
  readonly rules: CloudRules
  readonly steps: readonly Step[]
  /** Of the calls in their order, again and again. */
  readonly fates: readonly CallFate[]
}

/** Takes one decision of several options. */
export type Choose = (options: number) => number

/** Takes one decision after the other out of a number. Generating one number is much cheaper than a record. */
export function decoder(code: number): Choose {
  let rest = code
  return (options) => {
    const chosen = rest % options
    rest = Math.floor(rest / options)
    return chosen
  }
}

const code = fc.nat({ max: 2 ** 31 - 1 })

export interface ScheduleOptions<Step> {
  readonly rules: (choose: Choose) => Pick<CloudRules, 'style' | 'feedLagMs' | 'listLagMs'>
  /** One in so many calls fails, in two of three schedules. In the third, nothing fails. */
  readonly failsOneIn: number
  readonly maxSteps: number
  /** @param choose decides for the whole schedule */
  readonly toSteps: (codes: readonly number[], choose: Choose) => readonly Step[]
}

export function scheduleOf<Step>(options: ScheduleOptions<Step>): fc.Arbitrary<CloudSchedule<Step>> {
  const { rules, failsOneIn, maxSteps, toSteps } = options
  return fc
    .record({
      character: code,
      steps: fc.array(code, { minLength: 10, maxLength: maxSteps, size: 'max' }),
      fates: fc.array(code, { minLength: 1, maxLength: 20, size: 'max' })
    })
    .map(({ character, steps, fates }) => {
      const choose = decoder(character)
      const isCalm = choose(3) === 0
      const heldOneIn = choose(3) === 0 ? 2 : 6
      return {
        rules: {
          ...rules(choose),
          hasRootId: choose(2) === 0,
          log: choose(2) === 0 ? 'events' : 'states',
          repeatsAncestors: choose(2) === 0,
          showsInherited: choose(2) === 0
        },
        steps: toSteps(steps, choose),
        fates: fates.map((fate) => {
          const choose = decoder(fate)
          return {
            isHeld: choose(heldOneIn) === 0,
            hasFailed: choose(failsOneIn) === 0 && !isCalm,
            lag: choose(10) / 10
          }
        })
      }
    })
}

/** Releases held calls until the work has ended. */
export async function releaseUntil(cloud: ChangingCloud, work: Promise<unknown>): Promise<void> {
  let isDone = false
  const done = work.then(() => (isDone = true))
  while (!(isDone as boolean)) {
    cloud.release()
    await nextTurn()
  }
  await done
}

/**
 * Tests a property with random schedules. `FRESHNESS_SCHEDULES` is their number, `FRESHNESS_SEED` repeats a run.
 *
 * @param totals what the schedules have counted: each at least once in a hundred schedules
 */
export async function holds<Schedule>(
  t: Test,
  schedule: fc.Arbitrary<Schedule>,
  run: (schedule: Schedule) => Promise<void>,
  { defaultRuns, totals }: { readonly defaultRuns: number; readonly totals: Readonly<Record<string, number>> }
): Promise<void> {
  const numRuns = Number(process.env.FRESHNESS_SCHEDULES ?? defaultRuns)
  const seed = Number(process.env.FRESHNESS_SEED ?? Date.now() & 0x7fffffff)
  t.comment(`FRESHNESS_SCHEDULES=${numRuns} FRESHNESS_SEED=${seed}`)
  await fc.assert(fc.asyncProperty(schedule, run), { numRuns, seed })
  for (const [what, count] of Object.entries(totals)) t.ok(count > numRuns / 100, `${what}: ${count}`)
}
