import { isStorageError, StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import type { Penalty } from './penalty.ts'

/**
 * Notes what a provider that throttles asks for. Put it around each single try, inside of the retries: the other calls
 * of the connection must learn of it at once, not when the retries have been given up.
 */
export function withPenaltyWatch(backend: StorageBackend, penalty: Penalty): StorageBackend {
  return aroundEach(backend, async (_call, signal, run) => {
    try {
      const answer = await run(signal)
      penalty.succeeded()
      return answer
    } catch (error) {
      if (isStorageError(error, 'PROVIDER_THROTTLED')) penalty.hear(error)
      throw error
    }
  })
}

/**
 * Makes no call while the penalty lasts, and says how long that is. Put it outermost: a call that is inside already
 * waits by itself and must not be refused when its wait is over.
 */
export function withPenaltyGate(backend: StorageBackend, penalty: Penalty): StorageBackend {
  return aroundEach(backend, async (_call, signal, run) => {
    signal.throwIfAborted()
    const retryAfterMs = penalty.remainingMs()
    if (retryAfterMs > 0) {
      throw new StorageError('PROVIDER_THROTTLED', 'The provider asks for fewer calls.', { retryAfterMs })
    }
    try {
      return await run(signal)
    } catch (error) {
      const waitMs = penalty.remainingMs()
      if (!isStorageError(error, 'PROVIDER_THROTTLED') || error.retryAfterMs !== undefined || waitMs === 0) throw error
      throw new StorageError('PROVIDER_THROTTLED', error.message, { retryAfterMs: waitMs, cause: error.cause })
    }
  })
}
