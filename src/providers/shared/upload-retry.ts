import { isStorageError, type StorageError } from '../../errors.ts'
import { sleep } from '../../core/time.ts'
import { failure, transientFailure } from './errors.ts'
import { type Chunk, skipBytes } from './upload.ts'

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
  /**
   * Handles the number of bytes that a service has: resets the failure count if it has more than before, and waits if
   * it has not.
   *
   * @param offset the offset before the call
   * @param end the offset after the sent bytes
   * @returns the offset at which to continue
   * @throws StorageError `PROVIDER_ERROR` if the service lost accepted bytes or counts more than were sent
   */
  async advance(service: string, offset: number, accepted: number, end: number): Promise<number> {
    if (accepted < offset || accepted > end)
      throw failure('PROVIDER_ERROR', `${service} reported an invalid byte count`)
    if (accepted > offset) this.reset()
    else await this.pause(transientFailure(`${service} accepted no bytes of the upload`))
    return accepted
  }
}

/** The outcome of a chunk: the number of bytes of the upload that the service has, or the completed file. */
export type ChunkOutcome<File> = { readonly accepted: number } | { readonly file: File }

/**
 * Sends a chunk of a resumable upload, and continues after the accepted bytes until the service has all of it.
 *
 * @param service its name, for the log
 * @param start the offset of the chunk in the upload
 * @param put sends the rest of the chunk, from `offset` to `end`
 * @returns the completed file, after the last chunk; `null` before
 * @throws StorageError `PROVIDER_ERROR` if the service completes the upload too early or reports an invalid byte count
 */
export async function sendChunk<File>(
  service: string,
  { pieces, length, isLast }: Chunk,
  start: number,
  retry: UploadRetry,
  put: (rest: readonly Buffer[], offset: number, end: number) => Promise<ChunkOutcome<File>>
): Promise<File | null> {
  const end = start + length
  for (let offset = start; ;) {
    const outcome = await put(skipBytes(pieces, offset - start), offset, end)
    if ('file' in outcome) {
      if (!isLast) throw failure('PROVIDER_ERROR', `${service} completed the upload before its end`)
      return outcome.file
    }
    offset = await retry.advance(service, offset, outcome.accepted, end)
    if (offset === end && !isLast) return null
  }
}
