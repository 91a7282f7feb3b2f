import { isStorageError, StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import type { Penalty } from './penalty.ts'

/**
 * Detects throttle responses. It must enclose each single attempt, inside the retries: the connection's other calls
 * must learn of a throttle at once, not after the last retry.
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
 * Rejects calls while the throttle lasts, with the remaining wait. It must enclose the retries: a call inside waits by
 * itself and must not be rejected after its wait.
 */
export function withPenaltyGate(backend: StorageBackend, penalty: Penalty): StorageBackend {
  return aroundEach(backend, async (_call, signal, run) => {
    signal.throwIfAborted()
    const retryAfterMs = penalty.remainingMs()
    if (retryAfterMs > 0) {
      throw new StorageError('PROVIDER_THROTTLED', 'The provider is limiting the request rate. Try again later.', {
        retryAfterMs
      })
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
