import { OAuthMistake, type OAuthResponse, type OAuthErrorCode } from './response.ts'
import type { FakeCodes } from './codes.ts'
import { checkParams, type OAuthRequest } from './request.ts'
import { FAKE_OAUTH_USER, type FakeOAuthRules, type FakeOAuthUser } from './rules.ts'

const PARAMETERS = [
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'state',
  'code_challenge',
  'code_challenge_method'
]

/** Parameters of a callback that replace the fake's own; undefined removes one. */
export type CallbackPatch = Readonly<Record<string, string | undefined>>

/** The consent page. */
export class FakeConsent {
  /** The signed-in user. */
  user: FakeOAuthUser = FAKE_OAUTH_USER
  /** The scopes that the user grants in the next authorization; afterwards all of them again. */
  grantedScopes: readonly string[] | undefined
  callbackPatch: CallbackPatch = {}
  readonly #rules: FakeOAuthRules
  readonly #codes: FakeCodes
  readonly #issuer: () => string

  constructor(rules: FakeOAuthRules, codes: FakeCodes, issuer: () => string) {
    this.#rules = rules
    this.#codes = codes
    this.#issuer = issuer
  }

  /** Checks the request and returns the function that responds. */
  prepare({ method, query }: OAuthRequest): () => OAuthResponse {
    const { clientId, redirectUris, scopes: supportedScopes, defaultScopes, extraParameters } = this.#rules
    if (method !== 'GET') throw new OAuthMistake('invalid_request', `the method ${method}`, { status: 405 })
    const redirectUri = query.get('redirect_uri') ?? ''
    // An unknown client is not redirected (RFC 6749, 4.1.2.1).
    if (query.get('client_id') !== clientId) {
      throw new OAuthMistake('invalid_request', `the client ${query.get('client_id')}`)
    }
    if (query.getAll('redirect_uri').length !== 1 || !redirectUris.includes(redirectUri)) {
      throw new OAuthMistake('invalid_request', `the redirect URI ${redirectUri}`)
    }
    const state = query.get('state') ?? ''
    const check = (isValid: boolean, description: string, error: OAuthErrorCode = 'invalid_request') => {
      if (isValid) return
      const response = this.#redirect(redirectUri, { error, error_description: description, state: state || undefined })
      throw new OAuthMistake(error, description, response)
    }
    try {
      checkParams(query, [...PARAMETERS, ...extraParameters])
    } catch (error) {
      check(false, error instanceof Error ? error.message : '')
    }
    check(query.get('response_type') === 'code', 'a response type that is not code', 'unsupported_response_type')
    check(state !== '', 'no state')
    check(['query', null].includes(query.get('response_mode')), 'a response mode that is not query')
    check(['online', 'offline', null].includes(query.get('access_type')), 'an unknown access type')
    const challenge = query.get('code_challenge') ?? undefined
    this.#checkChallenge(challenge, query.get('code_challenge_method'), check)
    const requestedScopes = query.get('scope')?.split(' ') ?? defaultScopes
    check(requestedScopes !== undefined, 'no scope', 'invalid_scope')
    const scopes = requestedScopes ?? []
    for (const scope of scopes) check(supportedScopes.includes(scope), `the scope ${scope}`, 'invalid_scope')

    const isConsented = query.get('prompt')?.split(' ').includes('consent') ?? false
    const isOffline = query.get('access_type') === 'offline'
    return () => {
      const { grantedScopes, callbackPatch, user } = this
      this.grantedScopes = undefined
      this.callbackPatch = {}
      const iss = this.#issuer()
      if (callbackPatch['error'] !== undefined) return this.#redirect(redirectUri, { state, iss, ...callbackPatch })
      const granted = scopes.filter((scope) => grantedScopes?.includes(scope) ?? true)
      const authorization = { redirectUri, challenge, user, scopes: granted, isConsented, isOffline }
      const code = this.#codes.issue(authorization, this.#rules.now())
      return this.#redirect(redirectUri, { code, state, iss, scope: granted.join(' '), ...callbackPatch })
    }
  }

  #checkChallenge(
    challenge: string | undefined,
    method: string | null,
    check: (isValid: boolean, description: string) => void
  ): void {
    if (challenge === undefined) {
      check(this.#rules.pkce === 'optional' && method === null, 'no code challenge')
      return
    }
    // Without a method it would be plain (RFC 7636, 4.3).
    check(method === 'S256', `the challenge method ${method}`)
    check(/^[\w-]{43}$/.test(challenge), 'a challenge that is no SHA-256')
  }

  #redirect(redirectUri: string, params: CallbackPatch): OAuthResponse {
    const location = new URL(redirectUri)
    for (const [name, value] of Object.entries(params)) {
      if (value !== undefined) location.searchParams.append(name, value)
    }
    return { status: 302, headers: { location: location.href }, json: undefined }
  }
}
