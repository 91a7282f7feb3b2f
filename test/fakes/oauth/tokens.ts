import { OAuthMistake, type OAuthResponse } from './response.ts'
import type { FakeCodes } from './codes.ts'
import type { FakeGrants, FakeTokenResponse } from './grants.ts'
import { checkClient, checkParams, parseForm, requireParam, type OAuthRequest } from './request.ts'
import type { FakeOAuthRules } from './rules.ts'

const CLIENT_PARAMETERS = ['client_id', 'client_secret']

/** The endpoints that the application calls without its user: `/token` and `/revoke`. */
export class FakeTokens {
  readonly #rules: FakeOAuthRules
  readonly #codes: FakeCodes
  readonly #grants: FakeGrants

  constructor(rules: FakeOAuthRules, codes: FakeCodes, grants: FakeGrants) {
    this.#rules = rules
    this.#codes = codes
    this.#grants = grants
  }

  /** Checks the request. Returns the function that performs it. */
  prepareToken(request: OAuthRequest): () => OAuthResponse {
    const form = parseForm(request)
    const issue = this.#prepareGrant(form)
    checkClient(this.#rules, request, form)
    return () => ({ status: 200, headers: {}, json: { ...issue() } })
  }

  /** RFC 7009. */
  prepareRevocation(request: OAuthRequest): () => OAuthResponse {
    const form = parseForm(request)
    checkParams(form, ['token', 'token_type_hint', ...CLIENT_PARAMETERS])
    const token = requireParam(form, 'token')
    const hint = form.get('token_type_hint')
    if (![null, 'access_token', 'refresh_token'].includes(hint)) {
      throw new OAuthMistake('invalid_request', `the token type ${hint}`)
    }
    if (this.#rules.revocation === 'authenticated') checkClient(this.#rules, request, form)
    return () => {
      this.#grants.revoke(token)
      return { status: 200, headers: {}, json: undefined }
    }
  }

  #prepareGrant(form: URLSearchParams): () => FakeTokenResponse {
    const type = requireParam(form, 'grant_type')
    if (type === 'authorization_code') {
      checkParams(form, ['grant_type', 'code', 'redirect_uri', 'code_verifier', ...CLIENT_PARAMETERS])
      const verifier = form.get('code_verifier')
      if (verifier !== null && !/^[\w.~-]{43,128}$/.test(verifier)) {
        throw new OAuthMistake('invalid_request', 'a verifier that is not in the shape of RFC 7636')
      }
      const [code, redirectUri] = [requireParam(form, 'code'), requireParam(form, 'redirect_uri')]
      return () => this.#exchange(code, redirectUri, verifier)
    }
    if (type === 'refresh_token') {
      checkParams(form, ['grant_type', 'refresh_token', 'scope', ...CLIENT_PARAMETERS])
      const token = requireParam(form, 'refresh_token')
      return () => this.#grants.refresh(token, form.get('scope')?.split(' '))
    }
    throw new OAuthMistake('unsupported_grant_type', `the grant type ${type}`)
  }

  #exchange(code: string, redirectUri: string, verifier: string | null): FakeTokenResponse {
    const { now, accessTokenSeconds, needsOfflineAccess } = this.#rules
    const authorization = this.#codes.use(code, redirectUri, verifier, now())
    const { user, scopes, isOffline, isConsented } = authorization
    const isFirst = this.#grants.ofUser(user.id).every(({ refreshToken }) => refreshToken === undefined)
    const hasRefreshToken = !needsOfflineAccess || (isOffline && (isConsented || isFirst))
    const response = this.#grants.create({ user, scopes, hasRefreshToken, expiresInSeconds: accessTokenSeconds })
    authorization.grant = this.#grants.all.at(-1)
    return response
  }
}
