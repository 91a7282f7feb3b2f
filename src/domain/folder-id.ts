import { StorageError } from './errors.ts'

/** Longer than any provider's own limit; enough for an S3 key or a path of many levels. */
const MAX_ID_BYTES = 8192

/**
 * A folder id as a client sent it, checked: opaque, but text that can be stored and sent. `undefined` is the root.
 *
 * @param name of what holds it, for the message
 * @throws StorageError `INVALID_REQUEST` for an empty or oversized id, a NUL or a lone surrogate
 */
export function parseFolderId(raw: string | undefined, name = 'folder'): string | null {
  if (raw === undefined) return null
  if (raw === '') throw new StorageError('INVALID_REQUEST', `${name} must not be empty: leave it out for the root.`)
  return checkedText(raw, name)
}

/**
 * The id of an object, or a name for one, as a client sent it: the same rules, and there is none that can be left out.
 *
 * @throws StorageError `INVALID_REQUEST`
 */
export function parseObjectText(raw: string, name: string): string {
  if (raw === '') throw new StorageError('INVALID_REQUEST', `${name} must not be empty.`)
  return checkedText(raw, name)
}

function checkedText(raw: string, name: string): string {
  if (Buffer.byteLength(raw) > MAX_ID_BYTES) {
    throw new StorageError('INVALID_REQUEST', `${name} must not be longer than ${MAX_ID_BYTES} bytes.`)
  }
  if (raw.includes('\0') || !raw.isWellFormed()) {
    throw new StorageError('INVALID_REQUEST', `${name} holds characters that no ${name} has.`)
  }
  return raw
}
