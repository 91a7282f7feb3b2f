import { StorageError } from '../../domain/errors.ts'

/** Validates a page size. @throws StorageError `INVALID_REQUEST` unless it is 1 to 1000 */
export function requireLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new StorageError('INVALID_REQUEST', 'The limit must be 1 to 1000 entries.')
  }
}
