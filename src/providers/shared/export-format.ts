import { StorageError } from '../../domain/errors.ts'

/** For an `exportAs` that is not among the export formats of the object. */
export function noSuchFormat(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This file cannot be exported in the requested format.')
}
