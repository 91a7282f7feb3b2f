import { StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'

/**
 * Encloses all layers that may fail: every error is a `StorageError` that has passed `mark`. Other errors of a backend
 * (a host application's own provider may throw anything) become `PROVIDER_ERROR` with the original as the cause.
 */
export function withKnownErrors(backend: StorageBackend, mark: (error: StorageError) => StorageError): StorageBackend {
  return aroundEach(backend, async (_call, signal, run) => {
    try {
      return await run(signal)
    } catch (error) {
      if (error instanceof StorageError) throw mark(error)
      if (signal.aborted) throw error
      throw mark(new StorageError('PROVIDER_ERROR', 'The provider failed with an unknown error.', { cause: error }))
    }
  })
}
