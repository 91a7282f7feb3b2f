import { LRUCache } from 'lru-cache'
import { Breaker, type CallOutcome } from '../core/breaker.ts'
import type { TrippedBreaker } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import { errorKind, isStorageError, StorageError } from '../errors.ts'
import type { CallRunner } from './layer.ts'

/** Longest wait that one response can impose, whatever it says. */
const MAX_WAIT_MS = 3_600_000
/**
 * The wait after a throttle response without Retry-After. It doubles with each consecutive one. Nextcloud responds
 * with 429 for up to half an hour without Retry-After.
 */
const DEFAULT_WAIT_MS = 5_000
const MAX_DEFAULT_WAIT_MS = 300_000

/**
 * The time during which one connection must not call its provider. Measured by the monotonic clock, which cannot be
 * set. If the clock stops while the machine sleeps, the wait is longer than requested, never shorter.
 */
export class Throttle {
  readonly #clock: Clock
  readonly #onThrottled: () => void
  readonly #recorded = new WeakSet<StorageError>()
  #endsAt = -Infinity
  #consecutiveDefaultWaits = 0

  /** @param onThrottled called once for each throttle response */
  constructor(clock: Clock, onThrottled: () => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** Records a throttle response. All callers that wait for one response, such as a new token, may report it. */
  recordThrottled(error: StorageError): void {
    // Parallel calls get the same throttle: count one wait for all of them.
    if (error.retryAfterMs === undefined && this.remainingMs() === 0) {
      this.extend(Math.min(DEFAULT_WAIT_MS * 2 ** this.#consecutiveDefaultWaits, MAX_DEFAULT_WAIT_MS))
      this.#consecutiveDefaultWaits += 1
    }
    if (error.retryAfterMs !== undefined) this.extend(error.retryAfterMs)
    if (this.#recorded.has(error)) return
    this.#recorded.add(error)
    this.#onThrottled()
  }

  /** Records a success. A call that began before the throttle proves nothing about it. */
  recordSuccess(): void {
    if (this.#consecutiveDefaultWaits > 0 && this.remainingMs() === 0) this.#consecutiveDefaultWaits = 0
  }

  /**
   * Records a requested wait. A shorter wait never shortens a longer one: responses of parallel calls arrive in any
   * order, and only the longest wait satisfies all of them.
   */
  extend(waitMs: number): void {
    // Not `<=`: NaN must not count as a wait either, since it would never end.
    if (!(waitMs > 0)) return
    this.#endsAt = Math.max(this.#endsAt, this.#clock.now() + Math.min(waitMs, MAX_WAIT_MS))
  }

  /** Returns the remaining wait in whole milliseconds, rounded up; 0 if there is none. */
  remainingMs(): number {
    return Math.max(0, Math.ceil(this.#endsAt - this.#clock.now()))
  }
}

/**
 * Detects throttle responses. It must enclose each single attempt, inside the retries: the connection's other calls
 * must learn of a throttle at once, not after the last retry.
 */
export function withThrottleDetection(next: CallRunner, throttle: Throttle): CallRunner {
  return async (method, call, run) => {
    try {
      const result = await next(method, call, run)
      throttle.recordSuccess()
      return result
    } catch (error) {
      if (isStorageError(error, 'PROVIDER_THROTTLED')) throttle.recordThrottled(error)
      throw error
    }
  }
}

/**
 * Rejects calls while the throttle lasts, with the remaining wait. It must enclose the retries: a call inside waits by
 * itself and must not be rejected after its wait.
 */
export function withThrottleGate(next: CallRunner, throttle: Throttle): CallRunner {
  return async (method, call, run) => {
    call.signal.throwIfAborted()
    const retryAfterMs = throttle.remainingMs()
    if (retryAfterMs > 0) {
      throw new StorageError('PROVIDER_THROTTLED', 'The provider is limiting the request rate. Try again later.', {
        retryAfterMs
      })
    }
    try {
      return await next(method, call, run)
    } catch (error) {
      const waitMs = throttle.remainingMs()
      if (!isStorageError(error, 'PROVIDER_THROTTLED') || error.retryAfterMs !== undefined || waitMs === 0) throw error
      throw new StorageError('PROVIDER_THROTTLED', error.message, { retryAfterMs: waitMs, cause: error.cause })
    }
  }
}

/**
 * Stops calls to a provider that is down. It must enclose the deadline and the retries, so that a call counts as one
 * outcome. A download has succeeded once its body begins.
 *
 * While the circuit is open, calls reject with `PROVIDER_UNAVAILABLE` and the remaining wait.
 */
export function withBreaker(next: CallRunner, breaker: Breaker): CallRunner {
  return async (method, call, run) => {
    call.signal.throwIfAborted()
    const { waitMs } = breaker
    if (waitMs > 0) {
      throw new StorageError('PROVIDER_UNAVAILABLE', 'The provider has failed repeatedly. Try again later.', {
        retryAfterMs: waitMs
      })
    }
    // An upload may take hours. Its outcome counts, but as the probe it would block all other calls.
    const report = method === 'upload' ? breaker.record.bind(breaker) : breaker.begin()
    try {
      const result = await next(method, call, run)
      report('up')
      return result
    } catch (error) {
      // An aborted call says nothing about the provider's health.
      report(call.signal.aborted ? 'unknown' : outcomeOf(error))
      throw error
    }
  }
}

/** Any response proves that a server is up. Providers decide what counts as one (decision 42). */
function outcomeOf(error: unknown): CallOutcome {
  if (!(error instanceof StorageError)) return 'unknown'
  return error.responded ? 'up' : (errorKind(error.code).provider ?? 'unknown')
}

/** The state of one connection's provider. It outlives the opened backends. */
export interface Health {
  readonly throttle: Throttle
  readonly breaker: Breaker
}

interface HealthEntry extends Health {
  readonly provider: string
}

/** Connections in memory. An evicted one calls its provider again, and gets its throttle or failure again. */
const MAX_CONNECTIONS = 5_000

/**
 * The health of each connection, as observed by this process. The host is not part of the key: it belongs to the
 * account that the row represents, so another server means another row.
 */
export class ConnectionHealth {
  readonly #clock: Clock
  readonly #onThrottled: (provider: string) => void
  readonly #entries = new LRUCache<string, HealthEntry>({ max: MAX_CONNECTIONS })

  /** @param onThrottled called once for each throttle response */
  constructor(clock: Clock, onThrottled: (provider: string) => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** Returns the connection's health, creating it at first use. */
  get(provider: string, connectionId: string): Health {
    const key = keyOf(provider, connectionId)
    let health = this.#entries.get(key)
    if (health === undefined) {
      const throttle = new Throttle(this.#clock, () => {
        this.#onThrottled(provider)
      })
      health = { provider, throttle, breaker: new Breaker(this.#clock) }
      this.#entries.set(key, health)
    }
    return health
  }

  /** Returns the breakers that are not closed. */
  tripped(): TrippedBreaker[] {
    // `values()` does not change the LRU order: reading metrics must not keep connections in memory.
    return [...this.#entries.values()].flatMap(({ provider, breaker: { state } }) =>
      state === 'closed' ? [] : [{ provider, state }]
    )
  }

  /** Removes a deleted connection. */
  delete(provider: string, connectionId: string): void {
    this.#entries.delete(keyOf(provider, connectionId))
  }
}

/** JSON separates the two unambiguously, whatever characters they contain. */
function keyOf(provider: string, connectionId: string): string {
  return JSON.stringify([provider, connectionId])
}
