import type { StorageBackend } from '../core/backend.ts'
import type { Clock } from '../core/time.ts'
import { isStorageError, StorageError } from '../errors.ts'
import { interceptCalls } from './layer.ts'

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
    if (this.remainingMs() === 0) this.#consecutiveDefaultWaits = 0
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
export function withThrottleDetection(backend: StorageBackend, throttle: Throttle): StorageBackend {
  return interceptCalls(backend, async (_method, signal, run) => {
    try {
      const result = await run(signal)
      throttle.recordSuccess()
      return result
    } catch (error) {
      if (isStorageError(error, 'PROVIDER_THROTTLED')) throttle.recordThrottled(error)
      throw error
    }
  })
}

/**
 * Rejects calls while the throttle lasts, with the remaining wait. It must enclose the retries: a call inside waits by
 * itself and must not be rejected after its wait.
 */
export function withThrottleGate(backend: StorageBackend, throttle: Throttle): StorageBackend {
  return interceptCalls(backend, async (_method, signal, run) => {
    signal.throwIfAborted()
    const retryAfterMs = throttle.remainingMs()
    if (retryAfterMs > 0) {
      throw new StorageError('PROVIDER_THROTTLED', 'The provider is limiting the request rate. Try again later.', {
        retryAfterMs
      })
    }
    try {
      return await run(signal)
    } catch (error) {
      const waitMs = throttle.remainingMs()
      if (!isStorageError(error, 'PROVIDER_THROTTLED') || error.retryAfterMs !== undefined || waitMs === 0) throw error
      throw new StorageError('PROVIDER_THROTTLED', error.message, { retryAfterMs: waitMs, cause: error.cause })
    }
  })
}
