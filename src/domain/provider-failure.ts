import { StorageError, type StorageErrorCode, type StorageErrorOptions } from './errors.ts'

const MESSAGES = {
  FOLDER_NOT_FOUND: 'The folder was not found.',
  OBJECT_NOT_FOUND: 'The object was not found.',
  ACCESS_DENIED: 'The provider denies access.',
  ACCOUNT_DISABLED: 'The account is disabled on the server. Ask the administrator of the server.',
  INSUFFICIENT_SCOPE: 'The connection lacks the required permission. Connect again and grant it.',
  CURSOR_EXPIRED: 'The cursor has expired. List the folder again.',
  ALREADY_EXISTS: 'An item with this name already exists.',
  PRECONDITION_FAILED: 'The object does not have the expected version.',
  RANGE_NOT_SATISFIABLE: 'The requested range is outside the object.',
  INVALID_REQUEST: 'The provider does not accept this name.',
  PAYLOAD_TOO_LARGE: 'The object is larger than the provider accepts.',
  QUOTA_EXCEEDED: 'No storage space is left at the provider.',
  LOCKED: 'The object is locked by another user or application.',
  UNSUPPORTED: 'The provider does not support this operation.',
  PROVIDER_ERROR: 'The provider sent an invalid response.',
  SCHEME_MISMATCH: 'The server uses http in its own URLs instead of https, or the reverse. Check the address.',
  PROVIDER_THROTTLED: 'The provider is limiting the request rate. Try again later.',
  PROVIDER_TIMEOUT: 'The provider did not respond in time.',
  PROVIDER_UNAVAILABLE: 'The provider cannot be reached.'
} as const satisfies Partial<Record<StorageErrorCode, string>>

/** The codes of provider failures. */
export type ProviderFailureCode = keyof typeof MESSAGES

/** For a server that has responded, and therefore is reachable. */
const FAILED = 'The provider failed to process this request.'

/** Creates an error with the message that all providers share. */
export function providerFailure(code: ProviderFailureCode, options: StorageErrorOptions = {}): StorageError {
  const isAnswered = code === 'PROVIDER_UNAVAILABLE' && options.responded === true
  return new StorageError(code, isAnswered ? FAILED : MESSAGES[code], options)
}
