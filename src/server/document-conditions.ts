import type { Entry } from '../domain/entry.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { WriteConditions } from '../http/write-conditions.ts'
import { NO_CONTENT } from './documents.ts'

/** Returns the current content of a document; `null` if there is none. */
export async function contentAt(
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
export function requireConditions({ ifMatch, ifNoneMatch }: WriteConditions, entry: Entry | null): void {
  if (ifNoneMatch !== undefined && entry !== null) throw changed()
  if (ifMatch !== undefined && (entry === null || !ifMatch.isMet(entry))) throw changed()
}

export function isConditional({ ifMatch, ifNoneMatch }: WriteConditions): boolean {
  return ifMatch !== undefined || ifNoneMatch !== undefined
}

export function changed(): StorageError {
  return new StorageError('PRECONDITION_FAILED', 'The content does not match the precondition of the request.')
}
