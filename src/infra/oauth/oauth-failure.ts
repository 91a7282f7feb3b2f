import type { HttpAnswer } from '../../domain/egress.ts'
import { Diagnosis, isStorageError, StorageError, type StorageErrorCode } from '../../domain/errors.ts'
import type { OAuthConnect, TokenRefusal } from '../../domain/oauth.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { readRetryAfter } from '../net/retry-after.ts'

/** What came of one call, beside what the library makes of it. */
export interface Exchange {
  /** There was one: the other side has been asked. */
  answer?: Pick<HttpAnswer, 'status' | 'headers'>
  /** The host that was called. */
  host?: string
  /** Why there was none. */
  failure?: unknown
}

/** What an authorization server says when it sends the user back without a code (RFC 6749, 4.1.2.1). */
const REFUSALS: ReadonlyMap<unknown, StorageErrorCode> = new Map([
  ['access_denied', 'ACCESS_DENIED'],
  ['invalid_scope', 'INSUFFICIENT_SCOPE'],
  ['server_error', 'PROVIDER_UNAVAILABLE'],
  ['temporarily_unavailable', 'PROVIDER_UNAVAILABLE']
])
/** The error codes of RFC 6749, and others that are as plain: anything else may be an answer's own text. */
const PLAIN_CODE = /^[a-z_]{1,40}$/

/** Whether a refresh was refused for good: by `invalid_grant` (RFC 6749, 5.2), or as the provider says it. */
export function isGrantEnded(
  error: unknown,
  { answer }: Exchange,
  { endsGrant = isInvalidGrant }: Pick<OAuthConnect, 'endsGrant'>
): boolean {
  const refusal = refusalOf(error)
  // Who is told to come later has been told nothing else.
  return answer?.status !== 429 && refusal !== null && endsGrant(refusal)
}

function isInvalidGrant({ error }: Pick<TokenRefusal, 'error'>): boolean {
  return error === 'invalid_grant'
}

/** Why there are no tokens for what the user's browser brought. */
export function exchangeFailure(error: unknown, exchange: Exchange): StorageError {
  const { code, error: said } = (error ?? {}) as { code?: unknown; error?: unknown }
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') {
    const refusal = REFUSALS.get(said) ?? 'PROVIDER_ERROR'
    return new StorageError(refusal, 'The provider gave no access.', {
      cause: new Diagnosis(`The authorization endpoint answered ${plain(said)}`)
    })
  }
  const isUnasked = exchange.answer === undefined && exchange.failure === undefined
  if (isUnasked || isGrantEnded(error, exchange, {})) {
    return new StorageError('INVALID_STATE', 'This login has ended or was altered: begin again.')
  }
  return tokenFailure(error, exchange)
}

/**
 * A token endpoint that does not do its work, for whatever reason, says nothing about the grant: later may be better.
 * What it said may hold tokens, so that no error keeps it.
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

/** What an answer says that has an `error` in it; the library keeps all of it as the cause. */
function refusalOf(error: unknown): TokenRefusal | null {
  const { code, error: said, cause } = (error ?? {}) as { code?: unknown; error?: unknown; cause?: unknown }
  if (code !== 'OAUTH_RESPONSE_BODY_ERROR' || typeof said !== 'string') return null
  const body = typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>) : {}
  return { error: said, body }
}

function plain(said: unknown): string {
  return typeof said === 'string' && PLAIN_CODE.test(said) ? said : 'in no words of the protocol'
}
