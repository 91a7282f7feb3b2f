import type { Clock } from '../../../src/core/time.ts'

/** A clock that the test advances. */
export class ManualClock implements Clock {
  #now = 5_000
  #date = Date.UTC(2026, 0, 1)

  now(): number {
    return this.#now
  }

  date(): number {
    return this.#date
  }

  tick(ms: number): void {
    this.#now += ms
    this.#date += ms
  }

  /** Simulates a suspended machine: Linux's monotonic clock does not advance meanwhile. */
  suspend(ms: number): void {
    this.#date += ms
  }

  /** Simulates a wall clock that is set back. */
  setBack(ms: number): void {
    this.#date -= ms
  }
}
