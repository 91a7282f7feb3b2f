import type { HttpAnswer } from '../core/egress.ts'
import { Diagnosis, isStorageError, StorageError, type StorageErrorCode } from '../errors.ts'
import type { OAuthConnect, TokenRefusal } from '../core/oauth.ts'
import { providerFailure } from '../errors.ts'
import { readRetryAfter } from '../net/errors.ts'

/** The HTTP exchange of one call, in addition to the library's error. */
export interface Exchange {
  /** The response, if there was one. */
  answer?: Pick<HttpAnswer, 'status' | 'headers'>
  /** The host that was called. */
  host?: string
  /** The failure, if there was no response. */
  failure?: unknown
}

/** Error codes of an authorization response (RFC 6749, 4.1.2.1). */
const REFUSALS: ReadonlyMap<unknown, StorageErrorCode> = new Map([
  ['access_denied', 'ACCESS_DENIED'],
  ['invalid_scope', 'INSUFFICIENT_SCOPE'],
  ['server_error', 'PROVIDER_UNAVAILABLE'],
  ['temporarily_unavailable', 'PROVIDER_UNAVAILABLE']
])
/** The form of the error codes of RFC 6749. Other values may be free text, and are not logged. */
const PLAIN_CODE = /^[a-z_]{1,40}$/

/** Returns true if a refresh was refused for good: by `invalid_grant` (RFC 6749, 5.2) or the provider's equivalent. */
export function isGrantEnded(
  error: unknown,
  { answer }: Exchange,
  { endsGrant = isInvalidGrant }: Pick<OAuthConnect, 'endsGrant'>
): boolean {
  const refusal = refusalOf(error)
  // A throttle response says nothing about the grant.
  return answer?.status !== 429 && refusal !== null && endsGrant(refusal)
}

function isInvalidGrant({ error }: Pick<TokenRefusal, 'error'>): boolean {
  return error === 'invalid_grant'
}

/** Converts a failed exchange of an authorization code. */
export function exchangeFailure(error: unknown, exchange: Exchange): StorageError {
  const { code, error: said } = (error ?? {}) as { code?: unknown; error?: unknown }
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') {
    const refusal = REFUSALS.get(said) ?? 'PROVIDER_ERROR'
    return new StorageError(refusal, 'The provider did not grant access.', {
      cause: new Diagnosis(`The authorization endpoint answered ${plain(said)}`)
    })
  }
  const isUnasked = exchange.answer === undefined && exchange.failure === undefined
  if (isUnasked || isGrantEnded(error, exchange, {})) {
    return new StorageError('INVALID_STATE', 'This login has ended or was modified. Start again.')
  }
  return tokenFailure(error, exchange)
}

/**
 * Converts a failure of the token endpoint. It says nothing about the grant, and a later attempt may succeed. The
 * response may contain tokens, so errors do not include it.
 */
export function tokenFailure(error: unknown, { answer, failure }: Exchange): StorageError {
  if (isStorageError(failure, 'ENDPOINT_FORBIDDEN', 'PROVIDER_THROTTLED')) return failure
  if (failure !== undefined) return providerFailure('PROVIDER_UNAVAILABLE', { cause: failure })
  const status = answer === undefined ? 'nothing' : String(answer.status)
  const cause = new Diagnosis(`The token endpoint answered ${status}, ${plain(refusalOf(error)?.error)}`)
  if (answer?.status !== 429) return providerFailure('PROVIDER_UNAVAILABLE', { cause })
  const retryAfterMs = readRetryAfter(answer.headers)
  return providerFailure('PROVIDER_THROTTLED', { cause, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

/** Returns an OAuth error response. The library stores its whole body as the cause. */
function refusalOf(error: unknown): TokenRefusal | null {
  const { code, error: said, cause } = (error ?? {}) as { code?: unknown; error?: unknown; cause?: unknown }
  if (code !== 'OAUTH_RESPONSE_BODY_ERROR' || typeof said !== 'string') return null
  const body = typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>) : {}
  return { error: said, body }
}

function plain(said: unknown): string {
  return typeof said === 'string' && PLAIN_CODE.test(said) ? said : 'without a standard error code'
}
