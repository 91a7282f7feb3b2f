import type { StorageError, StorageErrorCode } from '../domain/errors.ts'

/** The HTTP status of each error. It is defined nowhere else. */
export const STATUS = {
  INVALID_REQUEST: 400,
  INVALID_CURSOR: 400,
  INVALID_STATE: 400,
  INVALID_CREDENTIALS: 400,
  INVALID_ADDRESS: 400,
  CONNECTION_AMBIGUOUS: 400,
  UNAUTHENTICATED: 401,
  ACCESS_DENIED: 403,
  ACCOUNT_DISABLED: 403,
  INSUFFICIENT_SCOPE: 403,
  ENDPOINT_FORBIDDEN: 403,
  CROSS_SITE: 403,
  PROVIDER_UNKNOWN: 404,
  FOLDER_NOT_FOUND: 404,
  OBJECT_NOT_FOUND: 404,
  CONNECTION_NOT_FOUND: 404,
  DOCUMENT_NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PRECONDITION_FAILED: 412,
  CURSOR_EXPIRED: 410,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  LOCKED: 423,
  TOO_MANY_REQUESTS: 429,
  INTERNAL: 500,
  SDK_MISSING: 500,
  UNSUPPORTED: 501,
  PROVIDER_ERROR: 502,
  SCHEME_MISMATCH: 502,
  AUTHENTICATION_UNAVAILABLE: 503,
  CONNECTION_MISSING: 503,
  CONNECTION_INACTIVE: 503,
  CREDENTIALS_UNREADABLE: 503,
  PROVIDER_UNAVAILABLE: 503,
  PROVIDER_THROTTLED: 503,
  DATABASE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
  PROVIDER_TIMEOUT: 504,
  QUOTA_EXCEEDED: 507,
  INSUFFICIENT_STORAGE: 507
} as const satisfies Record<StorageErrorCode, number>

/** `Retry-After` in seconds, for errors without a time of their own. */
const RETRY_AFTER_S: Partial<Record<StorageErrorCode, number>> = {
  TOO_MANY_REQUESTS: 1,
  PROVIDER_UNAVAILABLE: 5,
  PROVIDER_THROTTLED: 5,
  DATABASE_UNAVAILABLE: 5,
  AUTHENTICATION_UNAVAILABLE: 5,
  INSUFFICIENT_STORAGE: 60
}

/** A `StorageError` with the fields that Fastify's error handling reads. */
export type HttpStorageError = StorageError & { statusCode: number; headers?: Record<string, string> }

/** Sets the status of an error and the headers that belong to it. */
export function withStatus(error: StorageError): HttpStorageError {
  const marked = error as HttpStorageError
  marked.statusCode = STATUS[error.code]
  const seconds =
    error.retryAfterMs === undefined ? RETRY_AFTER_S[error.code] : Math.max(1, Math.ceil(error.retryAfterMs / 1000))
  if (seconds !== undefined) marked.headers = { ...marked.headers, 'retry-after': String(seconds) }
  return marked
}
