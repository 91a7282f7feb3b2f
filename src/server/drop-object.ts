import type { FastifyBaseLogger } from 'fastify'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { causesOf } from '../http/log-failure.ts'

/** Removes what no document points to any more. Its failure fails nothing: the log names what is left. */
export async function dropObject(backend: StorageBackend, objectKey: string, log: FastifyBaseLogger): Promise<void> {
  try {
    // The client may have left, and it is to go all the same. The backend's own deadlines end the call.
    await backend.remove?.(objectKey, { signal: new AbortController().signal })
  } catch (error) {
    log.warn({ objectKey, causes: causesOf(error) }, 'an object without a document is left in the store')
  }
}
