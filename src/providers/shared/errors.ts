import type { Call } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import {
  Diagnosis,
  providerFailure,
  type StorageErrorCode,
  StorageError,
  type StorageErrorOptions
} from '../../errors.ts'
import { describeExchange, readRetryAfter } from '../../net/errors.ts'

/** The meaning of a 404: the listed folder or the object does not exist. */
export type NotFoundCode = 'FOLDER_NOT_FOUND' | 'OBJECT_NOT_FOUND'

const CODE_BY_STATUS: Readonly<Record<number, StorageErrorCode>> = {
  400: 'INVALID_REQUEST',
  401: 'ACCESS_DENIED',
  403: 'ACCESS_DENIED',
  405: 'UNSUPPORTED',
  408: 'PROVIDER_TIMEOUT',
  412: 'PRECONDITION_FAILED',
  413: 'PAYLOAD_TOO_LARGE',
  414: 'INVALID_REQUEST',
  416: 'RANGE_NOT_SATISFIABLE',
  423: 'LOCKED',
  429: 'PROVIDER_THROTTLED',
  501: 'UNSUPPORTED',
  504: 'PROVIDER_TIMEOUT',
  507: 'QUOTA_EXCEEDED'
}

/**
 * Statuses of a gateway with a failed upstream, or of a service that is unavailable as a whole. Google, Microsoft,
 * Box and Dropbox document this meaning of 503, whatever the body (decision 42).
 */
const GATEWAY_STATUSES: ReadonlySet<number> = new Set([502, 503, 504])

/** An error response without its body. */
export type ErrorResponse = Pick<HttpResponse, 'status' | 'headers' | 'url'>

/** Maps an error response to a StorageError. The cause describes the exchange without the text of the response. */
export function httpFailure(method: string, response: ErrorResponse, missing: NotFoundCode): StorageError {
  const { status, headers } = response
  const code = codeOf(status, missing, readRetryAfter(headers) !== undefined)
  return exchangeFailure(code, method, response, status === 401 ? { credentialsRefused: true } : {})
}

/**
 * Returns the error for an error response. The cause describes the exchange without the text of the response.
 *
 * @param options the response's own error code, for the log; and the delay of a throttle, if it is not `Retry-After`
 */
export function exchangeFailure(
  code: StorageErrorCode,
  method: string,
  response: ErrorResponse,
  {
    reason,
    retryAfterMs = readRetryAfter(response.headers),
    ...options
  }: Pick<StorageErrorOptions, 'credentialsRefused'> & {
    readonly reason?: string | undefined
    readonly retryAfterMs?: number | undefined
  } = {}
): StorageError {
  const exchange = describeExchange(method, response.url, response)
  return responseFailure(code, response.status, {
    ...options,
    cause: new Diagnosis(reason === undefined ? exchange : `${exchange}, ${reason}`),
    ...(code === 'PROVIDER_THROTTLED' && retryAfterMs !== undefined && { retryAfterMs })
  })
}

/** Returns the error for a response. The circuit breaker counts all but gateway statuses as responding. */
export function responseFailure(code: StorageErrorCode, status: number, options: StorageErrorOptions): StorageError {
  return providerFailure(code, { responded: !GATEWAY_STATUSES.has(status), ...options })
}

/**
 * Returns the error for a server that responds but does not complete a request. A retry may succeed.
 *
 * @param reason for the log, in our own words
 */
export function transientFailure(reason: string): StorageError {
  return providerFailure('PROVIDER_UNAVAILABLE', { cause: new Diagnosis(reason), responded: true })
}

/** Returns a provider error. @param reason for the log, in our own words */
export function failure(code: StorageErrorCode, reason?: string): StorageError {
  return providerFailure(code, reason === undefined ? {} : { cause: new Diagnosis(reason) })
}

/** A 503 with `Retry-After` is a throttle; without it, an outage. */
function codeOf(status: number, missing: NotFoundCode, hasRetryAfter: boolean): StorageErrorCode {
  if (status === 404 || status === 410) return missing
  if (status === 503) return hasRetryAfter ? 'PROVIDER_THROTTLED' : 'PROVIDER_UNAVAILABLE'
  return CODE_BY_STATUS[status] ?? (status >= 500 ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_ERROR')
}

/** Returns the error for an `exportAs` that is not among the object's export formats. */
export function unsupportedExportFormat(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This file cannot be exported in the requested format.')
}

/** Runs a call and maps its errors with `toError`. Rejects with the signal's reason after an abort. */
export async function mapErrors<T>(
  { signal }: Call,
  toError: (error: unknown) => StorageError,
  run: () => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  try {
    return await run()
  } catch (error) {
    signal.throwIfAborted()
    throw toError(error)
  }
}
