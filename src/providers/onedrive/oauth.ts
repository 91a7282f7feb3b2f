import type { TokenErrorResponse } from '../../core/oauth.ts'

const RESOURCE = 'https://graph.microsoft.com/'
const SITES_SCOPE = /^sites\.(?=read\.all$|readwrite\.all$)/

/**
 * Normalises a scope of Graph, which may contain the resource and be in any case. A permission for all files also
 * counts as the same permission for sites: personal accounts have no sites and are granted no such scope (the
 * permissions reference has `Sites.Read.All` for work and school accounts only).
 */
export function scopeName(scope: string): string {
  const name = scope.toLowerCase()
  return (name.startsWith(RESOURCE) ? name.slice(RESOURCE.length) : name).replace(SITES_SCOPE, 'files.')
}

/** Errors that need user interaction ("Microsoft Entra authentication and authorization error codes"). */
const INTERACTION_ERRORS: ReadonlySet<string> = new Set([
  'invalid_grant',
  'interaction_required',
  'consent_required',
  'login_required'
])

/** AADSTS codes of a misconfigured registration, which the operator must fix. They affect all users at once. */
const REGISTRATION_CODES: ReadonlySet<number> = new Set([
  50011, // another redirect URI
  50194, // not for accounts of other tenants
  70001, // disabled
  70002, // wrong secret
  700011, // unknown in the directory
  700016, // unknown in the directory
  700025, // registered without secrets
  7000112, // disabled
  7000215, // wrong secret
  7000218, // no secret
  7000222 // expired secret
])

/** AADSTS codes of temporary errors. */
const TRANSIENT_CODES: ReadonlySet<number> = new Set([
  40010, // the federated identity provider's own error
  50033, // RetryableError
  50087, // SasRetryableError
  50088, // too many telephone calls
  50166, // ExternalClaimsProviderThrottled
  50196, // LoopDetected: too many requests of one kind
  70012, // MsaServerError
  80002, // the organisation's password validator timed out
  80014, // the organisation's authentication agent timed out
  90006, // ExternalServerRetryableError
  90012, // RequestTimeout
  90024, // RequestBudgetExceededError
  90033, // MsodsServiceUnavailable
  90055, // TenantThrottlingError
  90090, // GraphRetryableError
  90091 // GraphServiceUnreachable
])

/** AADSTS codes that require a new login, whatever the value of `error`. */
const REAUTH_CODES: ReadonlySet<number> = new Set([
  50057, // the user is disabled
  50076, // a second factor is asked for
  50078, // the second factor is too old
  50079, // a second factor must be set up
  50132, // the password was changed
  50133, // the password was changed
  50158, // another check is asked for
  50173, // revoked by the user or an administrator
  53000, // 53000 to 53004: conditional access
  53001,
  53002,
  53003,
  53004,
  65001, // consent was taken back
  65004, // consent was refused
  70000, // no valid refresh token
  70008, // not used for too long
  70043, // the organisation wants a login more often
  700020, // InteractionRequired
  700082, // not used for 90 days
  700084 // of a single page application, after 24 hours
])

/** Returns whether only a new login helps. Microsoft's codes are more specific than `error` and take precedence. */
export function endsGrant({ error, body }: TokenErrorResponse): boolean {
  const { error_codes: errorCodes } = body
  const codes: readonly unknown[] = Array.isArray(errorCodes) ? errorCodes : []
  const has = (knownCodes: ReadonlySet<unknown>): boolean => codes.some((code) => knownCodes.has(code))
  if (has(REGISTRATION_CODES) || has(TRANSIENT_CODES)) return false
  return has(REAUTH_CODES) || INTERACTION_ERRORS.has(error)
}
