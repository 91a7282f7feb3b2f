import type { HttpResponse } from '../core/egress.ts'
import { Diagnosis, isStorageError, providerFailure, StorageError, type StorageErrorCode } from '../errors.ts'
import type { OAuthConnect, TokenErrorResponse } from '../core/oauth.ts'
import { readRetryAfter } from '../net/errors.ts'

/** The HTTP exchange of one call, in addition to the library's error. */
export interface Exchange {
  /** The response, if there was one. */
  response?: Pick<HttpResponse, 'status' | 'headers'>
  /** The host that was called. */
  host?: string
  /** The failure, if there was no response. */
  failure?: unknown
}

/** Error codes of an authorization response (RFC 6749, 4.1.2.1). */
const AUTHORIZATION_ERRORS: ReadonlyMap<unknown, StorageErrorCode> = new Map([
  ['access_denied', 'ACCESS_DENIED'],
  ['invalid_scope', 'INSUFFICIENT_SCOPE'],
  ['server_error', 'PROVIDER_UNAVAILABLE'],
  ['temporarily_unavailable', 'PROVIDER_UNAVAILABLE']
])
/** The form of the error codes of RFC 6749. Other values may be free text, and are not logged. */
const STANDARD_CODE = /^[a-z_]{1,40}$/

/** Returns true if a refresh was refused for good: by `invalid_grant` (RFC 6749, 5.2) or the provider's equivalent. */
export function isGrantEnded(
  error: unknown,
  { response }: Exchange,
  { endsGrant = isInvalidGrant }: Pick<OAuthConnect, 'endsGrant'>
): boolean {
  const tokenError = readTokenError(error)
  // A throttle response says nothing about the grant.
  return response?.status !== 429 && tokenError !== null && endsGrant(tokenError)
}

function isInvalidGrant({ error }: Pick<TokenErrorResponse, 'error'>): boolean {
  return error === 'invalid_grant'
}

/** Converts a failed exchange of an authorization code. */
export function exchangeFailure(error: unknown, exchange: Exchange): StorageError {
  const { code, error: errorCode } = (error ?? {}) as { code?: unknown; error?: unknown }
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') {
    const storageCode = AUTHORIZATION_ERRORS.get(errorCode) ?? 'PROVIDER_ERROR'
    return new StorageError(storageCode, 'The provider did not grant access.', {
      cause: new Diagnosis(`The authorization endpoint answered ${describeErrorCode(errorCode)}`)
    })
  }
  const isUnsent = exchange.response === undefined && exchange.failure === undefined
  if (isUnsent || isGrantEnded(error, exchange, {})) {
    return new StorageError('INVALID_STATE', 'This login has ended or was modified. Start again.')
  }
  return tokenFailure(error, exchange)
}

/**
 * Converts a failure of the token endpoint. It says nothing about the grant, and a later attempt may succeed. The
 * response may contain tokens, so errors do not include it.
 */
export function tokenFailure(error: unknown, { response, failure }: Exchange): StorageError {
  if (isStorageError(failure, 'ENDPOINT_FORBIDDEN', 'PROVIDER_THROTTLED')) return failure
  if (failure !== undefined) return providerFailure('PROVIDER_UNAVAILABLE', { cause: failure })
  const status = response === undefined ? 'nothing' : String(response.status)
  const cause = new Diagnosis(
    `The token endpoint answered ${status}, ${describeErrorCode(readTokenError(error)?.error)}`
  )
  if (response?.status !== 429) return providerFailure('PROVIDER_UNAVAILABLE', { cause })
  const retryAfterMs = readRetryAfter(response.headers)
  return providerFailure('PROVIDER_THROTTLED', { cause, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

/** Returns an OAuth error response. The library stores its whole body as the cause. */
function readTokenError(error: unknown): TokenErrorResponse | null {
  const { code, error: errorCode, cause } = (error ?? {}) as { code?: unknown; error?: unknown; cause?: unknown }
  if (code !== 'OAUTH_RESPONSE_BODY_ERROR' || typeof errorCode !== 'string') return null
  const body = typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>) : {}
  return { error: errorCode, body }
}

function describeErrorCode(errorCode: unknown): string {
  return typeof errorCode === 'string' && STANDARD_CODE.test(errorCode) ? errorCode : 'without a standard error code'
}
