import { isStorageError, type StorageError } from '../../domain/errors.ts'
import { sleep } from '../../domain/sleep.ts'

/** How often in a row a provider may take nothing before an upload is given up. */
const MAX_FAILURES = 5
const FIRST_WAIT_MS = 100
/** Longer than this nobody's upload waits. */
const MAX_WAIT_MS = 30_000

/** What an upload of several calls has with a provider that fails in the middle of it. */
export class Patience {
  readonly #signal: AbortSignal
  readonly #sleep: typeof sleep
  #failures = 0

  /** @param wait waits for a number of milliseconds, or until the signal aborts; tests replace it */
  constructor(signal: AbortSignal, wait = sleep) {
    this.#signal = signal
    this.#sleep = wait
  }

  /** Something was taken: it starts anew. */
  restore(): void {
    this.#failures = 0
  }

  /**
   * Waits after a failure that may pass, a while longer each time. A throttle without a time ends the upload.
   *
   * @param retryAfterMs what the response says
   * @throws the failure where it will not pass, or not soon; the signal's reason
   */
  async outlive(error: unknown, retryAfterMs?: number): Promise<void> {
    this.#signal.throwIfAborted()
    const mayPass = isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'PROVIDER_THROTTLED')
    if (!mayPass) throw error
    if (error.code === 'PROVIDER_THROTTLED' && (retryAfterMs ?? error.retryAfterMs) === undefined) throw error
    await this.pause(error, retryAfterMs)
  }

  /** Waits a while longer each time. @throws `error` where that happens too often, or would take too long */
  async pause(error: StorageError, retryAfterMs = 0): Promise<void> {
    const waitMs = Math.max(retryAfterMs, error.retryAfterMs ?? 0, Math.random() * FIRST_WAIT_MS * 2 ** this.#failures)
    if (++this.#failures > MAX_FAILURES || waitMs > MAX_WAIT_MS) throw error
    await this.#sleep(waitMs, this.#signal)
  }
}
