import { isStorageError, type StorageError } from '../../domain/errors.ts'

const UNDONE = new WeakSet<StorageError>()

/** Marks an error after which Dropbox has certainly changed nothing. */
export function undone(error: StorageError): StorageError {
  UNDONE.add(error)
  return error
}

/** Returns whether Dropbox has certainly changed nothing. Otherwise, the response may have been lost. */
export function isUndone(error: unknown): boolean {
  return isStorageError(error) && (error.code === 'PROVIDER_THROTTLED' || UNDONE.has(error))
}
