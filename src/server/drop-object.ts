import type { FastifyBaseLogger } from 'fastify'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { causesOf } from '../http/log-failure.ts'

/** Removes an object that no document points to any more. A failure is only logged, with the object's key. */
export async function dropObject(backend: StorageBackend, objectKey: string, log: FastifyBaseLogger): Promise<void> {
  try {
    // The object is removed even if the client disconnects. The backend's own timeouts limit the call.
    await backend.remove?.(objectKey, { signal: new AbortController().signal })
  } catch (error) {
    log.warn({ objectKey, causes: causesOf(error) }, 'the store contains an object without a document')
  }
}
