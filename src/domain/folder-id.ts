import { StorageError } from './errors.ts'

/** Longer than any provider's own limit; enough for an S3 key or a path of many levels. */
const MAX_FOLDER_ID_BYTES = 8192

/**
 * A folder id as a client sent it, checked: opaque, but text that can be stored and sent. `undefined` is the root.
 *
 * @throws StorageError `INVALID_REQUEST` for an empty or oversized id, a NUL or a lone surrogate
 */
export function parseFolderId(raw: string | undefined): string | null {
  if (raw === undefined) return null
  if (raw === '') throw new StorageError('INVALID_REQUEST', 'folder must not be empty: leave it out for the root.')
  if (Buffer.byteLength(raw) > MAX_FOLDER_ID_BYTES) {
    throw new StorageError('INVALID_REQUEST', `folder must not be longer than ${MAX_FOLDER_ID_BYTES} bytes.`)
  }
  if (raw.includes('\0') || !raw.isWellFormed()) {
    throw new StorageError('INVALID_REQUEST', 'folder holds characters that no folder id has.')
  }
  return raw
}
