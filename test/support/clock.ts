import type { Clock } from '../../src/domain/ports.ts'

/** A clock that moves when the test says so. */
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

  /** The machine sleeps: Linux's monotonic clock stands still meanwhile. */
  sleep(ms: number): void {
    this.#date += ms
  }

  /** Somebody sets the wall clock. */
  setBack(ms: number): void {
    this.#date -= ms
  }
}
