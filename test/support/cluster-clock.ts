import { createHistogram } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

/** Milliseconds of the machine's monotonic clock, which all of its processes share and nobody sets. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Waits for a moment of that clock, without keeping a processor from those who do something meanwhile. */
export async function momentOf(atMs: number): Promise<void> {
  while (machineMs() <= atMs) await setTimeout(atMs - machineMs())
}

/** How much later than they were due this process's timers came, in milliseconds. */
export interface Lateness {
  readonly p99Ms: number
  readonly maxMs: number
}

const TICK_MS = 5

/** Knows when the event loop of this process last came by. */
export class EventLoop {
  #seenAt = machineMs()
  #tickedAt = this.#seenAt
  readonly #lateness = createHistogram()
  readonly #timer = setInterval(() => {
    this.#tick()
  }, TICK_MS)

  /**
   * Whatever is sent in this turn of the loop was looked at after this: a process may be stopped, or get no
   * processor, between its last look and the moment when it says what time it is.
   */
  get seenAt(): number {
    return this.#seenAt
  }

  /** A turn begins now. */
  see(): void {
    this.#seenAt = machineMs()
  }

  /** Since it was last asked. */
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
    this.see()
    const lateMs = this.#seenAt - this.#tickedAt - TICK_MS
    this.#tickedAt = this.#seenAt
    this.#lateness.record(Math.max(1, Math.round(lateMs * 1e3)))
  }
}
