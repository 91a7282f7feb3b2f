import { type FailureContext, StorageError } from '../domain/errors.ts'
import type { HostTrail } from '../domain/host-trail.ts'
import type { Download, StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'

/**
 * Adds to each failure what it was about, for the log. The body of a download may fail later, and is covered too.
 *
 * @param contextOf is called when a call has failed, with its signal
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

/** The innermost layer: only here the signal of a call is the one that the egress gets. */
export function withHost(backend: StorageBackend, hosts: HostTrail): StorageBackend {
  return withContext(backend, (signal) => ({ host: hosts.hostOf(signal) }))
}
