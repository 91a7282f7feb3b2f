import { Diagnosis, isStorageError, StorageError, type StorageErrorCode } from '../../errors.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'

const BY_SYSTEM_CODE: Readonly<Record<string, readonly [StorageErrorCode, string]>> = {
  EEXIST: ['ALREADY_EXISTS', 'A file or folder with this name already exists.'],
  EISDIR: ['ALREADY_EXISTS', 'A folder with this name already exists.'],
  ENOTEMPTY: ['ALREADY_EXISTS', 'A folder with this name already exists.'],
  ENAMETOOLONG: ['INVALID_REQUEST', 'This name is too long. Choose a shorter name.'],
  EINVAL: ['INVALID_REQUEST', 'This is not a valid id.'],
  EILSEQ: ['INVALID_REQUEST', 'This is not a valid id.'],
  EFBIG: ['PAYLOAD_TOO_LARGE', 'The object is larger than the store accepts.'],
  ENOSPC: ['QUOTA_EXCEEDED', 'No storage space is left in the store.'],
  EDQUOT: ['QUOTA_EXCEEDED', 'No storage space is left in the store.'],
  EMFILE: ['PROVIDER_UNAVAILABLE', 'The store is temporarily unavailable. Try again later.'],
  ENFILE: ['PROVIDER_UNAVAILABLE', 'The store is temporarily unavailable. Try again later.'],
  EIO: ['PROVIDER_UNAVAILABLE', 'The store is temporarily unavailable. Try again later.'],
  ESTALE: ['PROVIDER_UNAVAILABLE', 'The store is temporarily unavailable. Try again later.']
}

/** Nothing there; a file instead of a folder; a symbolic link, which is treated as missing. */
const NOT_FOUND_CODES = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])

export function isNotFound(error: unknown): boolean {
  return NOT_FOUND_CODES.has(systemCode(error))
}

/** The system's own message contains the path: it stays in the cause of the cause, which no log prints. */
export function toStorageError(error: unknown, missing: NotFoundCode): StorageError {
  if (isStorageError(error)) return error
  if (isNotFound(error)) return failure(missing)
  const [code, message] = BY_SYSTEM_CODE[systemCode(error)] ?? ['INTERNAL', 'The store failed to process this request.']
  const cause = new Diagnosis(`The file system failed with ${systemCode(error) || 'no code'}`, { cause: error })
  return new StorageError(code, message, { cause })
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
