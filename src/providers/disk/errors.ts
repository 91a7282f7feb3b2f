import { Diagnosis, isStorageError, StorageError, type StorageErrorCode } from '../../domain/errors.ts'

const BY_SYSTEM_CODE: Readonly<Record<string, readonly [StorageErrorCode, string]>> = {
  EEXIST: ['ALREADY_EXISTS', 'There is something of this name already.'],
  EISDIR: ['ALREADY_EXISTS', 'There is a folder of this name already.'],
  ENOTEMPTY: ['ALREADY_EXISTS', 'There is a folder of this name already.'],
  ENAMETOOLONG: ['INVALID_REQUEST', 'This name is too long.'],
  EINVAL: ['INVALID_REQUEST', 'This cannot be the id of an object.'],
  EILSEQ: ['INVALID_REQUEST', 'This cannot be the id of an object.'],
  EFBIG: ['PAYLOAD_TOO_LARGE', 'The object is larger than the store accepts.'],
  ENOSPC: ['QUOTA_EXCEEDED', 'There is no space left in the store.'],
  EDQUOT: ['QUOTA_EXCEEDED', 'There is no space left in the store.'],
  EMFILE: ['PROVIDER_UNAVAILABLE', 'The store cannot be used at the moment.'],
  ENFILE: ['PROVIDER_UNAVAILABLE', 'The store cannot be used at the moment.'],
  EIO: ['PROVIDER_UNAVAILABLE', 'The store cannot be used at the moment.'],
  ESTALE: ['PROVIDER_UNAVAILABLE', 'The store cannot be used at the moment.']
}

/** Nothing there; a file instead of a folder; a symbolic link, which is treated as missing. */
const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])

export type Missing = 'FOLDER_NOT_FOUND' | 'OBJECT_NOT_FOUND'

export function isMissing(error: unknown): boolean {
  return MISSING.has(systemCode(error))
}

export function missingError(missing: Missing): StorageError {
  return new StorageError(
    missing,
    missing === 'FOLDER_NOT_FOUND' ? 'There is no such folder.' : 'There is no such object.'
  )
}

/** The system's own message contains the path: it stays in the cause of the cause, which no log prints. */
export function toStorageError(error: unknown, missing: Missing): StorageError {
  if (isStorageError(error)) return error
  if (isMissing(error)) return missingError(missing)
  const [code, message] = BY_SYSTEM_CODE[systemCode(error)] ?? ['INTERNAL', 'The store failed.']
  const cause = new Diagnosis(`The file system refused with ${systemCode(error) || 'no code'}`, { cause: error })
  return new StorageError(code, message, { cause })
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
