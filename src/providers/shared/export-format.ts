import { StorageError } from '../../domain/errors.ts'

/** Returns the error for an `exportAs` that is not among the object's export formats. */
export function noSuchFormat(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This file cannot be exported in the requested format.')
}
