import { StorageError } from '../../domain/errors.ts'
import { isSegment } from './object-path.ts'

/** Some services allow longer names, and slashes. This limit keeps files copyable to every service. */
const MAX_NAME_BYTES = 1024

/** Validates a name. @throws StorageError `INVALID_REQUEST` if no service accepts it as a file or folder name */
export function requireName(name: string): void {
  if (isSegment(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES) return
  throw new StorageError('INVALID_REQUEST', 'This is not a valid name. Choose another name.')
}
