import type { FastifyBaseLogger } from 'fastify'
import type { StorageBackend } from '../../src/core/backend.ts'
import type { Entry } from '../../src/core/entry.ts'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { causesOf } from '../../src/http/problem.ts'
import type { WriteConditions } from '../../src/http/write-conditions.ts'
import { NO_CONTENT } from './store.ts'

/** Removes an object that no document points to any more. A failure is only logged, with the object's key. */
export async function removeOrphanedObject(
  backend: StorageBackend,
  objectKey: string,
  log: FastifyBaseLogger
): Promise<void> {
  try {
    // The object is removed even if the client disconnects. The backend's own timeouts limit the call.
    await backend.remove?.(objectKey, { signal: new AbortController().signal })
  } catch (error) {
    log.warn({ objectKey, causes: causesOf(error) }, 'the store contains an object without a document')
  }
}

/** Returns the current content of a document; `null` if there is none. */
export async function statContent(
  backend: StorageBackend,
  objectKey: string,
  signal: AbortSignal
): Promise<Entry | null> {
  if (objectKey === NO_CONTENT) return null
  try {
    return await backend.stat(objectKey, { signal })
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}

/** Checks the conditions of a change. @throws StorageError `PRECONDITION_FAILED` */
export function assertConditions({ ifMatch, ifNoneMatch }: WriteConditions, entry: Entry | null): void {
  if (ifNoneMatch !== undefined && entry !== null) throw preconditionFailed()
  if (ifMatch !== undefined && (entry === null || !ifMatch.isMet(entry))) throw preconditionFailed()
}

export function isConditional({ ifMatch, ifNoneMatch }: WriteConditions): boolean {
  return ifMatch !== undefined || ifNoneMatch !== undefined
}

export function preconditionFailed(): StorageError {
  return new StorageError('PRECONDITION_FAILED', 'The content does not match the precondition of the request.')
}
