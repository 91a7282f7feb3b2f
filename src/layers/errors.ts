import type { Download, StorageBackend } from '../core/backend.ts'
import type { HostTrail } from '../core/egress.ts'
import { type FailureDetails, StorageError } from '../errors.ts'
import { interceptCalls } from './layer.ts'

/**
 * Adds details to each error, for the log. Also covers the body of a download, which may fail later.
 *
 * @param detailsOf called with the signal of a call that has failed
 */
export function withDetails(
  backend: StorageBackend,
  detailsOf: (signal: AbortSignal) => FailureDetails
): StorageBackend {
  return interceptCalls(backend, async (method, signal, run) => {
    const addContext = (error: unknown): void => {
      if (error instanceof StorageError) error.about(detailsOf(signal))
    }
    try {
      const result = await run(signal)
      // Before the listeners of the reader, which may log the error.
      if (method === 'download') (result as Download).body.prependListener('error', addContext)
      return result
    } catch (error) {
      addContext(error)
      throw error
    }
  })
}

/** Adds the host. Must be the innermost layer: only there a call's signal is the one passed to the egress. */
export function withHost(backend: StorageBackend, hosts: HostTrail): StorageBackend {
  return withDetails(backend, (signal) => ({ host: hosts.hostOf(signal) }))
}

/**
 * Encloses all layers that may fail: every error is a `StorageError`. Other errors of a backend (a host application's
 * own provider may throw anything) become `PROVIDER_ERROR` with the original as the cause.
 */
export function withStorageErrors(backend: StorageBackend): StorageBackend {
  return interceptCalls(backend, async (_method, signal, run) => {
    try {
      return await run(signal)
    } catch (error) {
      if (error instanceof StorageError || signal.aborted) throw error
      throw new StorageError('PROVIDER_ERROR', 'The provider failed with an unknown error.', { cause: error })
    }
  })
}
