/**
 * The closed list of error codes of this package. Codes are stable and documented one by one in `docs/errors.md` (a
 * test compares the two). Messages are for people and may change. The HTTP status of each code is in
 * `http/status.ts`.
 */
export const STORAGE_ERROR_CODES = [
  'INVALID_REQUEST',
  'INVALID_CURSOR',
  'INVALID_STATE',
  'INVALID_CREDENTIALS',
  'INVALID_ADDRESS',
  'CONNECTION_AMBIGUOUS',
  'UNAUTHENTICATED',
  'ACCESS_DENIED',
  'ACCOUNT_DISABLED',
  'INSUFFICIENT_SCOPE',
  'ENDPOINT_FORBIDDEN',
  'CROSS_SITE',
  'PROVIDER_UNKNOWN',
  'FOLDER_NOT_FOUND',
  'OBJECT_NOT_FOUND',
  'CONNECTION_NOT_FOUND',
  'DOCUMENT_NOT_FOUND',
  'ALREADY_EXISTS',
  'PRECONDITION_FAILED',
  'CURSOR_EXPIRED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'RANGE_NOT_SATISFIABLE',
  'LOCKED',
  'TOO_MANY_REQUESTS',
  'INTERNAL',
  'SDK_MISSING',
  'UNSUPPORTED',
  'PROVIDER_ERROR',
  'SCHEME_MISMATCH',
  'AUTHENTICATION_UNAVAILABLE',
  'CONNECTION_MISSING',
  'CONNECTION_INACTIVE',
  'CREDENTIALS_UNREADABLE',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_THROTTLED',
  'DATABASE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'PROVIDER_TIMEOUT',
  'QUOTA_EXCEEDED',
  'INSUFFICIENT_STORAGE'
] as const

export type StorageErrorCode = (typeof STORAGE_ERROR_CODES)[number]

export interface StorageErrorOptions {
  /** The delay in milliseconds that the caller should wait before a retry. */
  readonly retryAfterMs?: number
  /** The provider refused the credentials themselves. A caller should verify whether they are still valid. */
  readonly credentialsRefused?: boolean
  /** The provider sent this response itself, so it is up. The circuit breaker counts it as a success. */
  readonly responded?: boolean
  /** The underlying error. It is logged only and never part of a response. */
  readonly cause?: unknown
}

/** Codes after which an identical call may succeed later without any intervention. */
const RETRYABLE: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'TOO_MANY_REQUESTS',
  'LOCKED',
  'AUTHENTICATION_UNAVAILABLE',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_THROTTLED',
  'DATABASE_UNAVAILABLE',
  'PROVIDER_TIMEOUT',
  'INSUFFICIENT_STORAGE'
])

/**
 * The subject of a failed call, for the operator's log. Responses never contain it: the host may be a private server,
 * and the caller does not always know the connection ids of documents.
 */
export interface FailureContext {
  readonly provider?: string | undefined
  readonly connectionId?: string | undefined
  /** The connection's status when the call failed. */
  readonly connectionStatus?: string | undefined
  /** `host[:port]` of the last server that received the call. */
  readonly host?: string | undefined
}

/** Longest host in a log line. DNS names have at most 253 characters. */
const MAX_HOST_LENGTH = 260

/**
 * The error that this package throws. Act on `code`, not on `message`. The message can be shown to the user: it
 * never contains a secret, an upstream body or a local path. `cause` may contain these, for the log.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode
  /** True if the same call may succeed later, unchanged. */
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  /** The provider refused the credentials themselves, not the request. */
  readonly credentialsRefused: boolean
  /** The provider sent this response itself, so it is up. */
  readonly responded: boolean
  /**
   * The HTTP status of `code`, set when a decorator of the plugin throws the error. It makes the host's own error
   * handler respond with the same status as the plugin's routes.
   */
  statusCode?: number
  #context: FailureContext

  constructor(code: StorageErrorCode, message: string, options: StorageErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = RETRYABLE.has(code)
    this.retryAfterMs = options.retryAfterMs
    this.credentialsRefused = options.credentialsRefused ?? false
    this.responded = options.responded ?? false
    this.#context = options.cause instanceof StorageError ? options.cause.context : {}
  }

  /** The subject of the failed call. Log it, but never send it to users. */
  get context(): FailureContext {
    return this.#context
  }

  /** Adds missing fields to `context`. Existing values stay: the code closest to the failure has the exact ones. */
  about(context: FailureContext): this {
    const { provider, connectionId, connectionStatus, host } = this.#context
    this.#context = {
      provider: provider ?? context.provider,
      connectionId: connectionId ?? context.connectionId,
      connectionStatus: connectionStatus ?? context.connectionStatus,
      host: host ?? context.host?.slice(0, MAX_HOST_LENGTH)
    }
    return this
  }
}

/**
 * A cause with a message of our own, for the operator. Unlike a message of an SDK or a server it contains no secret
 * and no upstream data, so the log prints it.
 */
export class Diagnosis extends Error {
  override readonly name = 'Diagnosis'
}

/** Returns true if `error` is a {@link StorageError} with one of `codes` (with any code if none is given). */
export function isStorageError(error: unknown, ...codes: StorageErrorCode[]): error is StorageError {
  return error instanceof StorageError && (codes.length === 0 || codes.includes(error.code))
}

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
