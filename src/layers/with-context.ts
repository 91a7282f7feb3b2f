import { type FailureContext, StorageError } from '../domain/errors.ts'
import type { HostTrail } from '../domain/host-trail.ts'
import type { Download, StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'

/**
 * Adds the failure context to each error, for the log. Also covers the body of a download, which may fail later.
 *
 * @param contextOf called with the signal of a call that has failed
 */
export function withContext(
  backend: StorageBackend,
  contextOf: (signal: AbortSignal) => FailureContext
): StorageBackend {
  return aroundEach(backend, async (call, signal, run) => {
    const add = (error: unknown): void => {
      if (error instanceof StorageError) error.about(contextOf(signal))
    }
    try {
      const result = await run(signal)
      // Before the listeners of the reader, which may log the error.
      if (call === 'download') (result as Download).body.prependListener('error', add)
      return result
    } catch (error) {
      add(error)
      throw error
    }
  })
}

/** Adds the host. Must be the innermost layer: only there a call's signal is the one passed to the egress. */
export function withHost(backend: StorageBackend, hosts: HostTrail): StorageBackend {
  return withContext(backend, (signal) => ({ host: hosts.hostOf(signal) }))
}
