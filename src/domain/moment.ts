import type { Clock } from './clock.ts'

/** One point in time on both clocks. */
export class Moment {
  readonly #now: number
  readonly #date: number

  /** @param agoMs milliseconds before now */
  constructor(clock: Clock, agoMs = 0) {
    this.#now = clock.now() - agoMs
    this.#date = clock.date() - agoMs
  }

  /** Returns the age in milliseconds, by the clock that has advanced more. Data expires even if the machine slept. */
  ageMs(clock: Clock): number {
    return Math.max(clock.now() - this.#now, clock.date() - this.#date, 0)
  }

  /** Returns the age at `moment` in milliseconds. Comparing several moments takes one reading of the clocks. */
  ageAt(moment: Moment): number {
    return Math.max(moment.#now - this.#now, moment.#date - this.#date, 0)
  }
}
