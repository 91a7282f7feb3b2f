import type { Clock } from './time.ts'

/** The effect of a call's outcome. `unknown`: it says nothing about the service. */
export type CallOutcome = 'up' | 'down' | 'unknown'

export interface BreakerOptions {
  /** Consecutive failures that open the circuit. Default 5. */
  readonly threshold?: number
  /** Time without calls after that, in milliseconds. Default 10,000. */
  readonly openMs?: number
}

/** The wait for callers that arrive while the probe is running. It ends soon, but at an unknown time. */
const PROBING_MS = 1_000

/**
 * The state of a circuit breaker. It opens after `threshold` consecutive failures for `openMs`. Then one call probes
 * the service, and its outcome closes the circuit or opens it again. It makes no calls itself: its callers decide
 * which call is the probe, and whether anything waits for it.
 */
export class Breaker {
  readonly #clock: Clock
  readonly #threshold: number
  readonly #openMs: number
  #failures = 0
  /** Earliest time of the next probe, by the monotonic clock. `null`: the circuit is closed. */
  #probeAt: number | null = null
  #isProbing = false

  constructor(clock: Clock, { threshold = 5, openMs = 10_000 }: BreakerOptions = {}) {
    this.#clock = clock
    this.#threshold = threshold
    this.#openMs = openMs
  }

  /** The state for the next call. `open`: it must not be made. `half_open`: it probes, or a probe is running. */
  get state(): 'closed' | 'open' | 'half_open' {
    if (this.#probeAt === null) return 'closed'
    return this.#clock.now() < this.#probeAt ? 'open' : 'half_open'
  }

  /** Milliseconds until a call may be made; 0 if one may be made now. */
  get waitMs(): number {
    if (this.#probeAt === null) return 0
    return this.#isProbing ? PROBING_MS : Math.max(0, Math.ceil(this.#probeAt - this.#clock.now()))
  }

  /**
   * Begins a call, which is the probe unless the circuit is closed. Requires that {@link waitMs} is 0.
   *
   * @returns a function for the outcome, to be called in any case. After an `unknown` probe the next call probes.
   */
  begin(): (outcome: CallOutcome) => void {
    if (this.#probeAt === null) {
      // A call that ends after the circuit has opened is older than the outage: only the probe counts.
      return (outcome) => {
        if (this.#probeAt === null) this.record(outcome)
      }
    }
    this.#isProbing = true
    return (outcome) => {
      this.#isProbing = false
      this.record(outcome)
    }
  }

  /** Records the outcome of a call that was not begun here, unless the circuit is open or a probe is running. */
  record(outcome: CallOutcome): void {
    if (outcome === 'unknown' || this.waitMs > 0) return
    if (outcome === 'up') {
      this.#failures = 0
      this.#probeAt = null
      return
    }
    this.#failures += 1
    if (this.#probeAt !== null || this.#failures >= this.#threshold) this.#probeAt = this.#clock.now() + this.#openMs
  }
}
