import { StorageError, type StorageErrorCode, type StorageErrorOptions } from './errors.ts'

const MESSAGES = {
  FOLDER_NOT_FOUND: 'There is no such folder.',
  OBJECT_NOT_FOUND: 'There is no such object.',
  ACCESS_DENIED: 'The provider denies access.',
  ACCOUNT_DISABLED: 'The account is disabled at the server: ask its administrator.',
  INSUFFICIENT_SCOPE: 'The connection does not cover this: connect again and grant more.',
  CURSOR_EXPIRED: 'The provider has forgotten this page: start again.',
  ALREADY_EXISTS: 'There is something of this name already.',
  PRECONDITION_FAILED: 'The object is not the version that was expected.',
  RANGE_NOT_SATISFIABLE: 'The object has no such bytes.',
  INVALID_REQUEST: 'The provider does not accept this name.',
  PAYLOAD_TOO_LARGE: 'The object is larger than the provider accepts.',
  QUOTA_EXCEEDED: 'There is no space left at the provider.',
  LOCKED: 'Someone else is using the object.',
  UNSUPPORTED: 'The provider does not support this.',
  PROVIDER_ERROR: 'The answer of the provider makes no sense.',
  SCHEME_MISMATCH: 'The server refers to itself by http where https was given, or by https where http was given.',
  PROVIDER_THROTTLED: 'The provider asks for fewer calls.',
  PROVIDER_TIMEOUT: 'The provider did not answer in time.',
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
