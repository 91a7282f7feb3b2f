import { isStorageError, type StorageError } from '../domain/errors.ts'
import type { Clock } from '../domain/ports.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach, type BackendCall } from './around-each.ts'
import { backoffMs } from '../domain/backoff.ts'
import type { Penalty } from './penalty.ts'
import { sleep } from '../domain/sleep.ts'

/** What {@link withRetry} needs. */
export interface RetryOptions {
  readonly clock: Clock
  /** The time that a call has with all its tries: what `withDeadline` around this layer enforces. */
  readonly deadlineMs: number
  /** What the connection has been told meanwhile, through another call too: no try is made before it is over. */
  readonly penalty?: Pick<Penalty, 'remainingMs'>
  /** Between 0 and 1. */
  readonly random?: () => number
  /** Rejects with the signal's reason. */
  readonly sleep?: (waitMs: number, signal: AbortSignal) => Promise<void>
}

const MAX_RETRIES = 2

/**
 * What does the same when it is done twice. An upload is not here since its source can be read once, `createFolder`
 * not since a lost answer would come back as `ALREADY_EXISTS`. A download is repeated until its body begins.
 */
const REPEATABLE: ReadonlySet<BackendCall> = new Set<BackendCall>([
  'listFolder',
  'stat',
  'download',
  'remove',
  'downloadUrl',
  'account'
])

/**
 * Repeats what may be repeated, twice at most, when the provider is down, slow or throttles and says for how long. A
 * throttle without a time is not repeated: services that lock out a client address count every further try. A wait that would not be
 * over before the deadline is not begun: the caller gets the failure at once, as it is, and can wait on its own.
 */
export function withRetry(backend: StorageBackend, options: RetryOptions): StorageBackend {
  const { clock, deadlineMs } = options
  return aroundEach(backend, async (call, signal, run) => {
    const endsAt = clock.now() + deadlineMs
    for (let retry = 0; ; retry += 1) {
      try {
        return await run(signal)
      } catch (error) {
        // The deadline outside ends a call through the signal, with an error that looks like one to be repeated.
        signal.throwIfAborted()
        if (retry >= MAX_RETRIES || !REPEATABLE.has(call) || !isPassing(error)) throw error
        await pause(retry, error, endsAt, signal, options)
      }
    }
  })
}

function isPassing(error: unknown): error is StorageError {
  if (isStorageError(error, 'PROVIDER_THROTTLED')) return error.retryAfterMs !== undefined
  return isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT')
}

async function pause(
  retry: number,
  error: StorageError,
  endsAt: number,
  signal: AbortSignal,
  { clock, penalty, random = Math.random, sleep: rest = sleep }: RetryOptions
): Promise<void> {
  // On top of what the provider asks for, not instead of it: all whom it told the same would come at the same moment.
  let waitMs = Math.max(error.retryAfterMs ?? 0, penalty?.remainingMs() ?? 0) + backoffMs(retry, random)
  do {
    // Not `>=`: a wait that is no number is not begun either.
    if (!(clock.now() + waitMs < endsAt)) throw error
    await rest(waitMs, signal)
    waitMs = penalty?.remainingMs() ?? 0
  } while (waitMs > 0)
}
