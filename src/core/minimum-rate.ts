/** Ticks per window. Counting ticks needs no clock, and a pause discards at most one tick. */
const TICKS = 10

export interface MinimumRateOptions {
  readonly bytesPerSecond: number
  /** Time in milliseconds for the bytes of one window. The first window is the grace period. */
  readonly windowMs: number
}

/**
 * Checks that the sender or reader of a body keeps up a minimum rate. Only time spent waiting for the other side
 * counts; a peer that waits for us is not slow.
 */
export class MinimumRate {
  readonly tickMs: number
  readonly #minBytes: number
  #bytes = 0
  #ticks = 0

  constructor({ bytesPerSecond, windowMs }: MinimumRateOptions) {
    this.tickMs = windowMs / TICKS
    this.#minBytes = (bytesPerSecond * windowMs) / 1000
  }

  count(bytes: number): void {
    this.#bytes += bytes
  }

  /** Counts another `tickMs` of waiting. Returns false if the window has ended with too few bytes. */
  tick(): boolean {
    this.#ticks += 1
    if (this.#ticks < TICKS) return true
    const isMet = this.#bytes >= this.#minBytes
    this.#ticks = 0
    this.#bytes = 0
    return isMet
  }
}

/** Ends a stream if its source sends too slowly. Only time spent waiting for the source counts. */
export class SlowSourceTimer {
  readonly #rate: MinimumRate
  readonly #onTooSlow: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(options: MinimumRateOptions, onTooSlow: () => void) {
    this.#rate = new MinimumRate(options)
    this.#onTooSlow = onTooSlow
  }

  count(bytes: number): void {
    this.#rate.count(bytes)
  }

  /** Starts the timer: the reader is waiting for the source. */
  start(): void {
    if (this.#timer !== undefined) return
    this.#timer = setInterval(() => {
      if (this.#rate.tick()) return
      this.stop()
      this.#onTooSlow()
    }, this.#rate.tickMs)
    // The socket or the file keeps the process alive as long as necessary.
    this.#timer.unref()
  }

  /** Stops the timer: the reader is slower than the source, or the source has ended. */
  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
