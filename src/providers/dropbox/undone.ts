import { isStorageError, type StorageError } from '../../domain/errors.ts'

const UNDONE = new WeakSet<StorageError>()

/** Marks a failure after which it is known that Dropbox has done nothing. */
export function undone(error: StorageError): StorageError {
  UNDONE.add(error)
  return error
}

/** Whether Dropbox has done nothing. Of other failures nobody knows: only the answer may have been lost. */
export function isUndone(error: unknown): boolean {
  return isStorageError(error) && (error.code === 'PROVIDER_THROTTLED' || UNDONE.has(error))
}
