/** A window is measured in so many ticks, so that no clock is needed and pauses shorten nothing but one tick. */
const TICKS = 10

export interface MinimumRateOptions {
  readonly bytesPerSecond: number
  /** How long the other side may take for the bytes of one window, in milliseconds. The first one is its grace period. */
  readonly windowMs: number
}

/**
 * Tells whether the sender or the reader of a body keeps up a minimum rate. Only time counts in which it is the other
 * side's turn: one that is waiting for us is not slow.
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

  /** Another `tickMs` of waiting has passed. Returns false if the window is over and has too few bytes. */
  tick(): boolean {
    this.#ticks += 1
    if (this.#ticks < TICKS) return true
    const isKept = this.#bytes >= this.#minBytes
    this.#ticks = 0
    this.#bytes = 0
    return isKept
  }
}

/** Ends a stream whose source sends too slowly while it is waited for. */
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

  /** The source is asked for bytes from now on. */
  start(): void {
    if (this.#timer !== undefined) return
    this.#timer = setInterval(() => {
      if (this.#rate.tick()) return
      this.stop()
      this.#onTooSlow()
    }, this.#rate.tickMs)
    // The socket or the file keeps the process alive as long as it should.
    this.#timer.unref()
  }

  /** The source is not asked: its reader is slower, or it has ended. */
  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
