import { StorageError } from '../errors.ts'

/** Exceeds every provider's own limit; sufficient for an S3 key or a deeply nested path. */
const MAX_ID_BYTES = 8192

/**
 * Validates a folder id from a client: opaque text that can be stored and sent. `undefined` is the root.
 *
 * @param name of the parameter, for the message
 * @throws StorageError `INVALID_REQUEST` for an empty or oversized id, a NUL or a lone surrogate
 */
export function parseFolderId(raw: string | undefined, name = 'folder'): string | null {
  if (raw === undefined) return null
  if (raw === '') throw new StorageError('INVALID_REQUEST', `${name} must not be empty. Omit it for the root.`)
  return validateText(raw, name)
}

/**
 * Validates an object's id or name from a client by the same rules. It is required.
 *
 * @throws StorageError `INVALID_REQUEST`
 */
export function parseObjectText(raw: string, name: string): string {
  if (raw === '') throw new StorageError('INVALID_REQUEST', `${name} must not be empty.`)
  return validateText(raw, name)
}

function validateText(raw: string, name: string): string {
  if (Buffer.byteLength(raw) > MAX_ID_BYTES) {
    throw new StorageError('INVALID_REQUEST', `${name} must not be longer than ${MAX_ID_BYTES} bytes.`)
  }
  if (raw.includes('\0') || !raw.isWellFormed()) {
    throw new StorageError('INVALID_REQUEST', `${name} contains invalid characters.`)
  }
  return raw
}
