import { StorageError } from '../../domain/errors.ts'

/** @throws StorageError `INVALID_REQUEST` unless a page may have so many entries */
export function requireLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new StorageError('INVALID_REQUEST', 'A page has 1 to 1000 entries.')
  }
}
