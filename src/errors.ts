interface ErrorKind {
  /** The HTTP status of a response with this code. */
  readonly status: number
  /** True if the same call may succeed later without any intervention. */
  readonly retryable?: true
  /** The `Retry-After` of a response in seconds, if the error has no value of its own. */
  readonly retryAfterS?: number
  /**
   * What the code proves about the provider, for the circuit breaker: that it is up, or that it is down. Other codes are
   * neutral: a request that the backend rejects without a call must not close the circuit, and a malformed response must
   * not open it.
   */
  readonly provider?: 'up' | 'down'
  /** True if the message concerns the server, not the request. It is logged only; responses have a general text. */
  readonly isInternal?: true
  /** The message of an error that is created without one. */
  readonly message: string
}

/**
 * The closed list of error codes of this package. Codes are stable and documented one by
 * one in `docs/errors.md`, which a test compares with this list. Messages are for people and may change.
 */
const CATALOGUE = {
  INVALID_REQUEST: { status: 400, message: 'The request is invalid.' },
  INVALID_CURSOR: { status: 400, message: 'This cursor does not belong to this listing. List the folder again.' },
  INVALID_STATE: { status: 400, message: 'This login has ended or was started in another browser. Start again.' },
  INVALID_CREDENTIALS: { status: 400, message: 'The server rejected the credentials.' },
  INVALID_ADDRESS: { status: 400, message: 'There is no such service at this address. Check the address.' },
  CONNECTION_AMBIGUOUS: {
    status: 400,
    message: 'There are several connections to this provider and none is the default. Specify one.'
  },
  UNAUTHENTICATED: { status: 401, message: 'Sign in first.' },
  ACCESS_DENIED: { status: 403, provider: 'up', message: 'The provider denies access.' },
  ACCOUNT_DISABLED: {
    status: 403,
    provider: 'up',
    message: 'The account is disabled on the server. Ask the administrator of the server.'
  },
  INSUFFICIENT_SCOPE: {
    status: 403,
    provider: 'up',
    message: 'The connection lacks the required permission. Connect again and grant it.'
  },
  ENDPOINT_FORBIDDEN: { status: 403, message: 'Connections to this server are not allowed.' },
  CROSS_SITE: { status: 403, message: 'Requests from pages of other sites are not allowed.' },
  PROVIDER_UNKNOWN: { status: 404, message: 'The provider is not enabled.' },
  FOLDER_NOT_FOUND: { status: 404, provider: 'up', message: 'The folder was not found.' },
  OBJECT_NOT_FOUND: { status: 404, provider: 'up', message: 'The object was not found.' },
  CONNECTION_NOT_FOUND: { status: 404, message: 'The connection was not found.' },
  DOCUMENT_NOT_FOUND: { status: 404, message: 'The document was not found.' },
  ALREADY_EXISTS: { status: 409, provider: 'up', message: 'An item with this name already exists.' },
  PRECONDITION_FAILED: { status: 412, provider: 'up', message: 'The object does not have the expected version.' },
  CURSOR_EXPIRED: { status: 410, provider: 'up', message: 'The cursor has expired. List the folder again.' },
  PAYLOAD_TOO_LARGE: { status: 413, message: 'The object is larger than the provider accepts.' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, message: 'This media type is not supported.' },
  RANGE_NOT_SATISFIABLE: { status: 416, provider: 'up', message: 'The requested range is outside the object.' },
  LOCKED: {
    status: 423,
    retryable: true,
    provider: 'up',
    message: 'The object is locked by another user or application.'
  },
  TOO_MANY_REQUESTS: { status: 429, retryable: true, retryAfterS: 1, message: 'Too many requests. Try again later.' },
  INTERNAL: { status: 500, isInternal: true, message: 'An internal error occurred on the server.' },
  SDK_MISSING: { status: 500, isInternal: true, message: 'A package for this provider is missing on the server.' },
  UNSUPPORTED: { status: 501, provider: 'up', message: 'The provider does not support this operation.' },
  PROVIDER_ERROR: { status: 502, message: 'The provider sent an invalid response.' },
  SCHEME_MISMATCH: {
    status: 502,
    message: 'The server uses http in its own URLs instead of https, or the reverse. Check the address.'
  },
  AUTHENTICATION_UNAVAILABLE: {
    status: 503,
    retryable: true,
    retryAfterS: 5,
    message: 'Authentication is temporarily unavailable.'
  },
  CONNECTION_MISSING: { status: 503, message: 'There is no connection to this provider. Connect it first.' },
  CONNECTION_INACTIVE: { status: 503, message: 'This connection is not active.' },
  CREDENTIALS_UNREADABLE: { status: 503, message: 'The stored credentials of this connection cannot be read.' },
  PROVIDER_UNAVAILABLE: {
    status: 503,
    retryable: true,
    retryAfterS: 5,
    provider: 'down',
    message: 'The provider cannot be reached.'
  },
  PROVIDER_THROTTLED: {
    status: 503,
    retryable: true,
    retryAfterS: 5,
    provider: 'up',
    message: 'The provider is limiting the request rate. Try again later.'
  },
  DATABASE_UNAVAILABLE: { status: 503, retryable: true, retryAfterS: 5, message: 'The database is unavailable.' },
  SHUTTING_DOWN: { status: 503, message: 'The server is shutting down.' },
  PROVIDER_TIMEOUT: {
    status: 504,
    retryable: true,
    provider: 'down',
    message: 'The provider did not respond in time.'
  },
  QUOTA_EXCEEDED: { status: 507, provider: 'up', message: 'No storage space is left at the provider.' },
  INSUFFICIENT_STORAGE: {
    status: 507,
    retryable: true,
    retryAfterS: 60,
    message: 'The server has no space left for this upload. Try again later.'
  }
} as const satisfies Record<string, ErrorKind>

export type StorageErrorCode = keyof typeof CATALOGUE

export const STORAGE_ERROR_CODES = Object.keys(CATALOGUE) as readonly StorageErrorCode[]

/** Returns the catalogue's entry for a code. */
export function errorKind(code: StorageErrorCode): ErrorKind {
  return CATALOGUE[code]
}

export interface StorageErrorOptions {
  /** The delay in milliseconds that the caller should wait before a retry. */
  readonly retryAfterMs?: number
  /** The provider refused the credentials themselves. A caller should verify whether they are still valid. */
  readonly credentialsRefused?: boolean
  /** The provider sent this response itself, so it is up. The circuit breaker counts it as a success. */
  readonly responded?: boolean
  /** Headers of the response in addition to `retry-after`, in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  /** The underlying error. It is logged only and never part of a response. */
  readonly cause?: unknown
}

/**
 * The subject of a failed call, for the operator's log. Responses never contain it: the host may be a private server,
 * and the caller does not always know the connection ids of documents.
 */
export interface FailureDetails {
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
  /** The HTTP status of `code`. Fastify's error handling responds with it. */
  readonly statusCode: number
  /** Headers for Fastify's error handling, in lower case: `retry-after`, if the time of a retry is known, and others. */
  readonly headers: Readonly<Record<string, string>>
  /** True if the same call may succeed later, unchanged. */
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  /** The provider refused the credentials themselves, not the request. */
  readonly credentialsRefused: boolean
  /** The provider sent this response itself, so it is up. */
  readonly responded: boolean
  #details: FailureDetails

  /** @param message for people. Default: the catalogue's text for the code */
  constructor(code: StorageErrorCode, message?: string, options: StorageErrorOptions = {}) {
    const { status, retryable = false, retryAfterS, message: defaultMessage } = errorKind(code)
    const { retryAfterMs, cause } = options
    super(message ?? defaultMessage, cause === undefined ? undefined : { cause })
    const seconds = retryAfterMs === undefined ? retryAfterS : Math.max(1, Math.ceil(retryAfterMs / 1000))
    this.code = code
    this.statusCode = status
    this.headers = { ...(seconds !== undefined && { 'retry-after': String(seconds) }), ...options.headers }
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs
    this.credentialsRefused = options.credentialsRefused ?? false
    this.responded = options.responded ?? false
    this.#details = cause instanceof StorageError ? cause.details : {}
  }

  /** The subject of the failed call. Log it, but never send it to users. */
  get details(): FailureDetails {
    return this.#details
  }

  /** Adds missing fields to `details`. Existing values stay: the code closest to the failure has the exact ones. */
  about(details: FailureDetails): this {
    const { provider, connectionId, connectionStatus, host } = this.#details
    this.#details = {
      provider: provider ?? details.provider,
      connectionId: connectionId ?? details.connectionId,
      connectionStatus: connectionStatus ?? details.connectionStatus,
      host: host ?? details.host?.slice(0, MAX_HOST_LENGTH)
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

/** Creates the error of a call that the provider rejected or failed to process. */
export function providerFailure(code: StorageErrorCode, options: StorageErrorOptions = {}): StorageError {
  if (code === 'INVALID_REQUEST') return new StorageError(code, 'The provider does not accept this name.', options)
  if (code === 'PROVIDER_UNAVAILABLE' && options.responded === true) {
    return new StorageError(code, 'The provider failed to process this request.', options)
  }
  return new StorageError(code, undefined, options)
}

/** Returns the code of an error of Node, PostgreSQL or a library, such as `ENOENT` or `55P03`. */
export function errorCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
