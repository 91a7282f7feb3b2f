import type { Timers } from '../../../src/core/time.ts'
import { ManualClock } from './clock.ts'
import { nextTurn } from './deferred.ts'

interface Timer {
  readonly at: number
  readonly run: () => void
}

/** Timers and a clock that the test advances together. */
export class VirtualTime implements Timers {
  readonly clock = new ManualClock()
  readonly #timers = new Set<Timer>()

  /** The timers that are set. */
  get count(): number {
    return this.#timers.size
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.clock.now() + ms, run }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Lets time pass: each timer runs at its time, and what it starts runs before the next one. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    await settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next)
      this.clock.tick(Math.max(0, next.at - this.clock.now()))
      next.run()
      await settle()
    }
    this.clock.tick(end - this.clock.now())
    await settle()
  }

  #next(end: number): Timer | undefined {
    return [...this.#timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0]
  }
}

/** Work on memory alone needs a few turns. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
}
