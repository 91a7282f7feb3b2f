import { StorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'

/** @throws StorageError `INVALID_REQUEST` for conditions that nothing meets */
export function requireConditions({ ifMatch, ifNoneMatch }: UploadCall): void {
  if (ifNoneMatch === '*' && ifMatch !== undefined) {
    throw new StorageError('INVALID_REQUEST', 'An object cannot be new and a known version at once.')
  }
}
