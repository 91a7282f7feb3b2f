import { StorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'

/** Validates conditions. @throws StorageError `INVALID_REQUEST` if they contradict each other */
export function requireConditions({ ifMatch, ifNoneMatch }: UploadCall): void {
  if (ifNoneMatch === '*' && ifMatch !== undefined) {
    throw new StorageError('INVALID_REQUEST', 'Use If-Match or If-None-Match, not both.')
  }
}
