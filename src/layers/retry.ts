import { isStorageError, type StorageError } from '../errors.ts'
import { backoffMs, type Clock, sleep } from '../core/time.ts'
import type { StorageBackend } from '../core/backend.ts'
import { interceptCalls, type BackendMethod } from './layer.ts'
import type { Throttle } from './throttle.ts'

/** Options of {@link withRetry}. */
export interface RetryOptions {
  readonly clock: Clock
  /** The time for all attempts of a call together, as enforced by `withDeadline` around this layer. */
  readonly deadlineMs: number
  /** The connection's throttle, which other calls may extend: no retry is made before it ends. */
  readonly throttle?: Pick<Throttle, 'remainingMs'>
  /** Returns a number in [0, 1). */
  readonly random?: () => number
  /** Rejects with the signal's reason. */
  readonly sleep?: (waitMs: number, signal: AbortSignal) => Promise<void>
}

const MAX_RETRIES = 2

/**
 * Idempotent calls. `upload` is excluded since its source can be read only once, `createFolder` since a retry after a
 * lost response would fail with `ALREADY_EXISTS`. A download is retried until its body begins.
 */
const IDEMPOTENT_METHODS: ReadonlySet<BackendMethod> = new Set<BackendMethod>([
  'listFolder',
  'stat',
  'download',
  'remove',
  'downloadUrl',
  'account'
])

/**
 * Retries idempotent calls at most twice if the provider is down, slow, or throttles with a Retry-After. A throttle
 * without one is not retried: services that lock out a client address count every attempt. A wait that would exceed
 * the deadline is not begun: the caller gets the original error at once and can wait itself.
 */
export function withRetry(backend: StorageBackend, options: RetryOptions): StorageBackend {
  const { clock, deadlineMs } = options
  return interceptCalls(backend, async (method, signal, run) => {
    const deadline = clock.now() + deadlineMs
    for (let retry = 0; ; retry += 1) {
      try {
        return await run(signal)
      } catch (error) {
        // The deadline layer ends a call through the signal, with an error that looks retryable.
        signal.throwIfAborted()
        if (retry >= MAX_RETRIES || !IDEMPOTENT_METHODS.has(method) || !isTransient(error)) throw error
        await waitBeforeRetry(retry, error, deadline, signal, options)
      }
    }
  })
}

function isTransient(error: unknown): error is StorageError {
  if (isStorageError(error, 'PROVIDER_THROTTLED')) return error.retryAfterMs !== undefined
  return isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT')
}

async function waitBeforeRetry(
  retry: number,
  error: StorageError,
  deadline: number,
  signal: AbortSignal,
  { clock, throttle, random = Math.random, sleep: wait = sleep }: RetryOptions
): Promise<void> {
  // In addition to the provider's wait: all clients with the same wait would return at the same time.
  let waitMs = Math.max(error.retryAfterMs ?? 0, throttle?.remainingMs() ?? 0) + backoffMs(retry, random)
  do {
    // Not `>=`: a wait that is NaN must not begin either.
    if (!(clock.now() + waitMs < deadline)) throw error
    await wait(waitMs, signal)
    waitMs = throttle?.remainingMs() ?? 0
  } while (waitMs > 0)
}
