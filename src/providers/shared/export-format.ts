import { StorageError } from '../../domain/errors.ts'

/** What `exportAs` comes out as where a provider does not make that. */
export function noSuchFormat(): StorageError {
  return new StorageError('INVALID_REQUEST', 'The object cannot be had in this format.')
}
