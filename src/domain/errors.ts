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
