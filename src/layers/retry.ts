import type { Download } from '../core/backend.ts'
import { backoffMs, type Clock, Deadline, raceSignal, sleep, withTimeout } from '../core/time.ts'
import { isStorageError, providerFailure, type StorageError } from '../errors.ts'
import type { Throttle } from './health.ts'
import type { BackendMethod, CallRunner } from './layer.ts'

/** The outermost limit of a wait for an announcement. Backends end it themselves before. */
const MAX_WAIT_MS = 600_000

/**
 * Limits each call except uploads to `totalMs`, and a wait for an announcement to ten minutes, even if the backend ignores its signal. For a download the deadline
 * ends when its body begins. The backend itself detects a stalled body.
 */
export function withDeadline(next: CallRunner, totalMs: number): CallRunner {
  const toError = (): StorageError => providerFailure('PROVIDER_TIMEOUT')
  return async (method, call, run) => {
    call.signal.throwIfAborted()
    if (method === 'upload') return await next(method, call, run)
    if (method !== 'download') {
      const limitMs = method === 'waitForChange' ? MAX_WAIT_MS : totalMs
      return await withTimeout(limitMs, call.signal, toError, (signal) => next(method, { ...call, signal }, run))
    }
    const deadline = new Deadline(totalMs, call.signal, toError)
    const { signal } = deadline
    try {
      const result = await raceSignal(next(method, { ...call, signal }, run), signal)
      // The caller's signal must still reach the body.
      deadline.clearTimer()
      const { body } = result as Download
      body.once('close', () => {
        deadline.clear()
      })
      return result
    } catch (error) {
      deadline.clear()
      throw error
    }
  }
}

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
  'account',
  'position',
  'changes',
  'isCurrent'
])

/**
 * Retries idempotent calls at most twice if the provider is down, slow, or throttles with a Retry-After. A throttle
 * without one is not retried: services that lock out a client address count every attempt. A wait that would exceed
 * the deadline is not begun: the caller gets the original error at once and can wait itself.
 */
export function withRetry(next: CallRunner, options: RetryOptions): CallRunner {
  const { clock, deadlineMs } = options
  return async (method, call, run) => {
    const deadline = clock.now() + deadlineMs
    for (let retry = 0; ; retry += 1) {
      try {
        return await next(method, call, run)
      } catch (error) {
        // The deadline layer ends a call through the signal, with an error that looks retryable.
        call.signal.throwIfAborted()
        if (retry >= MAX_RETRIES || !IDEMPOTENT_METHODS.has(method) || !isTransient(error)) throw error
        await waitBeforeRetry(retry, error, deadline, call.signal, options)
      }
    }
  }
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
