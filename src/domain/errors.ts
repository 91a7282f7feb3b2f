/**
 * Every way in which this package fails, as a closed list. Codes are stable and documented one by one in
 * `docs/errors.md` (a test compares the two); messages are for people and may change.
 * What each code answers over HTTP stands in `http/status.ts`.
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
  /** How long the caller should wait before it tries again, in milliseconds. */
  readonly retryAfterMs?: number
  /** The provider refused the credentials themselves: whoever stored them should ask whether they still work. */
  readonly credentialsRefused?: boolean
  /** The provider sent this response itself, so it is not down: the circuit breaker counts it as a sign of life. */
  readonly responded?: boolean
  /** What happened underneath. For the log alone: it never reaches an answer. */
  readonly cause?: unknown
}

/** The codes behind which a later, identical call may succeed without anybody doing anything. */
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
 * What a failed call was about, for the log of the operator. Responses never contain it: the host may be a private
 * server, and connection ids of documents are not always known to the caller.
 */
export interface FailureContext {
  readonly provider?: string | undefined
  readonly connectionId?: string | undefined
  /** The status of the connection when the call failed. */
  readonly connectionStatus?: string | undefined
  /** `host[:port]` of the server that the call was sent to last. */
  readonly host?: string | undefined
}

/** Longest host in a log line. DNS names have at most 253 characters. */
const MAX_HOST_LENGTH = 260

/**
 * The one error of this package. Act on `code`, not on `message`. The message is safe to show to the user: it
 * never holds a secret, an upstream body or a path of the machine; those may stand in `cause`, for the log.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  /** The provider refused the credentials themselves, not what was asked with them. */
  readonly credentialsRefused: boolean
  /** The provider sent this response itself: it is not down. */
  readonly responded: boolean
  /**
   * The HTTP status of `code`, set where an error leaves through a decorator of the plugin, so that a host's own
   * error handler answers what the plugin's routes would.
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

  /** What the failed call was about. Log it, but never send it to users. */
  get context(): FailureContext {
    return this.#context
  }

  /** Adds to `context` what it does not contain yet: the code closest to the failure knows best. */
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
 * A cause in our own words, for the operator: unlike those of an SDK or a server, its message holds no secret and
 * nothing from upstream, so that the log prints it.
 */
export class Diagnosis extends Error {
  override readonly name = 'Diagnosis'
}

/** Whether `error` is a {@link StorageError} of one of `codes` (of any code where none is given). */
export function isStorageError(error: unknown, ...codes: StorageErrorCode[]): error is StorageError {
  return error instanceof StorageError && (codes.length === 0 || codes.includes(error.code))
}
