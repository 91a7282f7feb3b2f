import { StorageError } from '../../domain/errors.ts'
import { isSegment } from './object-path.ts'

/** Some services take longer ones, and slashes too; what we store could be copied to any other. */
const MAX_NAME_BYTES = 1024

/** @throws StorageError `INVALID_REQUEST` for what is no name of a file or folder anywhere */
export function requireName(name: string): void {
  if (isSegment(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES) return
  throw new StorageError('INVALID_REQUEST', 'This cannot be the name of a file or folder.')
}
