import { StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'

/**
 * The outermost layer: every failure that leaves is a `StorageError` that `mark` has seen. What a backend throws
 * besides (a host's own provider may throw anything) becomes `PROVIDER_ERROR`, with the original as its cause.
 */
export function withKnownErrors(backend: StorageBackend, mark: (error: StorageError) => StorageError): StorageBackend {
  return aroundEach(backend, async (_call, signal, run) => {
    try {
      return await run(signal)
    } catch (error) {
      if (error instanceof StorageError) throw mark(error)
      if (signal.aborted) throw error
      throw mark(
        new StorageError('PROVIDER_ERROR', 'The provider failed in a way that is not known.', { cause: error })
      )
    }
  })
}
