import { createHistogram } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

/** Returns the machine's monotonic time in milliseconds. All processes share it, and it cannot be set. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Waits until a time of that clock, without busy waiting. */
export async function waitUntil(atMs: number): Promise<void> {
  while (monotonicMs() <= atMs) await setTimeout(atMs - monotonicMs())
}

/** How late the timers of this process fired, in milliseconds. */
export interface Lateness {
  readonly p99Ms: number
  readonly maxMs: number
}

const TICK_MS = 5

/** Records the last turn of the event loop of this process. */
export class EventLoop {
  #turnStartedAt = monotonicMs()
  #tickedAt = this.#turnStartedAt
  readonly #lateness = createHistogram()
  readonly #timer = setInterval(() => {
    this.#tick()
  }, TICK_MS)

  /**
   * A lower bound for the time of the last check before a response of this turn was sent. The time of sending is no
   * bound: the process may be stopped or not scheduled between the check and reading the clock.
   */
  get turnStartedAt(): number {
    return this.#turnStartedAt
  }

  /** Marks the start of a turn. */
  markTurn(): void {
    this.#turnStartedAt = monotonicMs()
  }

  /** Returns the lateness since the last call. */
  lateness(): Lateness {
    const p99Ms = this.#lateness.percentile(99) / 1e3
    const maxMs = this.#lateness.max / 1e3
    this.#lateness.reset()
    return { p99Ms, maxMs }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    this.markTurn()
    const lateMs = this.#turnStartedAt - this.#tickedAt - TICK_MS
    this.#tickedAt = this.#turnStartedAt
    this.#lateness.record(Math.max(1, Math.round(lateMs * 1e3)))
  }
}
