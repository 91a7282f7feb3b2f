import { isStorageError, type StorageError } from '../../errors.ts'
import { sleep } from '../../core/time.ts'

/** Consecutive failed calls after which an upload fails. */
const MAX_FAILURES = 5
const INITIAL_DELAY_MS = 100
/** The longest wait between two calls of an upload. */
const MAX_DELAY_MS = 30_000

/** Retries and back-off of an upload that takes several calls. */
export class UploadRetry {
  readonly #signal: AbortSignal
  readonly #sleep: typeof sleep
  #failures = 0

  /** @param wait sleeps for a number of milliseconds or until the signal aborts; replaced by tests */
  constructor(signal: AbortSignal, wait = sleep) {
    this.#signal = signal
    this.#sleep = wait
  }

  /** Resets the failure count after a successful call. */
  reset(): void {
    this.#failures = 0
  }

  /**
   * Waits after a temporary failure, longer each time. A throttle without `Retry-After` ends the upload.
   *
   * @param retryAfterMs from the response
   * @throws the error, if it is permanent or the wait is too long; the signal's reason
   */
  async backOff(error: unknown, retryAfterMs?: number): Promise<void> {
    this.#signal.throwIfAborted()
    const isTransient = isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'PROVIDER_THROTTLED')
    if (!isTransient) throw error
    if (error.code === 'PROVIDER_THROTTLED' && (retryAfterMs ?? error.retryAfterMs) === undefined) throw error
    await this.pause(error, retryAfterMs)
  }

  /** Waits longer each time. @throws `error` after too many failures or if the wait is too long */
  async pause(error: StorageError, retryAfterMs = 0): Promise<void> {
    const delayMs = Math.max(
      retryAfterMs,
      error.retryAfterMs ?? 0,
      Math.random() * INITIAL_DELAY_MS * 2 ** this.#failures
    )
    if (++this.#failures > MAX_FAILURES || delayMs > MAX_DELAY_MS) throw error
    await this.#sleep(delayMs, this.#signal)
  }
}
