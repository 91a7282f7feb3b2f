import type { Clock } from './clock.ts'

/** One moment on both clocks. */
export class Moment {
  readonly #now: number
  readonly #date: number

  /** @param agoMs how long before now, in milliseconds */
  constructor(clock: Clock, agoMs = 0) {
    this.#now = clock.now() - agoMs
    this.#date = clock.date() - agoMs
  }

  /** How long ago it was in milliseconds, by the clock that says more: a machine that slept does not serve old data. */
  ageMs(clock: Clock): number {
    return Math.max(clock.now() - this.#now, clock.date() - this.#date, 0)
  }

  /** The same at another moment: whoever compares several reads the clocks once. */
  ageAt(moment: Moment): number {
    return Math.max(moment.#now - this.#now, moment.#date - this.#date, 0)
  }
}
