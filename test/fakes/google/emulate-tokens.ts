import type { AuthorizationServer } from '../../../src/core/oauth.ts'
import { startProxy, type ProxiedResponse, type ProxiedRequest } from './emulate-proxy.ts'
import { GOOGLE_CLIENT, GOOGLE_ISSUER } from './emulate-seed.ts'
import type { EmulatedGoogle } from './emulate.ts'
import type { DriveCaller } from '../drive/view.ts'
import { FakeMistakes, type Lifetime } from '../lifetime.ts'

type Endpoint = '/oauth2/token' | '/oauth2/revoke'

export interface GoogleTokenCall {
  readonly endpoint: Endpoint
  readonly params: Readonly<Record<string, string>>
  readonly status: number
}

/** A user's consent. */
export interface GoogleGrant {
  readonly user: string
  readonly scopes: readonly string[]
  readonly refreshToken: string
  /** All access tokens of the grant, the latest last. */
  readonly accessTokens: string[]
}

interface TokenResponse {
  readonly access_token: string
  readonly refresh_token?: string
  readonly id_token?: string
  readonly scope: string
}

/** Exactly the parameters of Google's page "Using OAuth 2.0 for Web Server Applications", with PKCE. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  authorization_code: ['client_id', 'client_secret', 'code', 'code_verifier', 'grant_type', 'redirect_uri'],
  refresh_token: ['client_id', 'client_secret', 'grant_type', 'refresh_token'],
  // Google's page has the token only; RFC 7009 requires client authentication too.
  revocation: ['client_id', 'client_secret', 'token']
}

/**
 * A proxy in front of the token endpoints of the emulated Google. It records the issued tokens, because the emulated
 * Drive does not check them. Strict where `emulate` is lax.
 */
export class GoogleTokens {
  readonly calls: GoogleTokenCall[] = []
  readonly grants: GoogleGrant[] = []
  /** Requests that no client should send. The test fails if there are any at its end. */
  readonly mistakes: string[] = []
  readonly server: AuthorizationServer
  readonly #active = new Map<string, GoogleGrant>()
  readonly #idTokens: string[] = []

  private constructor(server: AuthorizationServer) {
    this.server = server
  }

  static async start(t: Lifetime, google: EmulatedGoogle): Promise<GoogleTokens> {
    const origin = await startProxy(t, google.url, {
      respondInstead: (request) => tokens.#rejectInvalid(request),
      onExchange: (request, response) => {
        tokens.#record(request, response)
      }
    })
    const tokens: GoogleTokens = new GoogleTokens({
      issuer: GOOGLE_ISSUER,
      authorizationEndpoint: google.authorizationEndpoint,
      tokenEndpoint: `${origin}/oauth2/token`,
      revocationEndpoint: `${origin}/oauth2/revoke`
    })
    t.teardown(() => {
      if (tokens.mistakes.length > 0) throw new FakeMistakes('Google', tokens.mistakes)
    })
    return tokens
  }

  /** Returns the caller of an access token while it is valid. */
  check(bearer: string): DriveCaller | null {
    const grant = this.#active.get(bearer)
    return grant === undefined ? null : { user: grant.user, scopes: grant.scopes }
  }

  /** Returns the number of requests of a kind. */
  count(grantType: 'authorization_code' | 'refresh_token' | 'revocation'): number {
    return this.calls.filter(({ params }) => kindOf(params) === grantType).length
  }

  /** Expires all access tokens. */
  expireAccessTokens(): void {
    this.#active.clear()
  }

  /** Returns all values that no response and no log may contain. */
  secrets(): string[] {
    const sent = this.calls.flatMap(({ params }) => {
      const { code, code_verifier, refresh_token, token } = params
      return [code, code_verifier, refresh_token, token].filter((secret) => secret !== undefined)
    })
    const issued = this.grants.flatMap(({ refreshToken, accessTokens }) => [refreshToken, ...accessTokens])
    return [...new Set([GOOGLE_CLIENT.clientSecret, ...this.#idTokens, ...sent, ...issued])]
  }

  #rejectInvalid({ method, url, contentType = '', body }: ProxiedRequest): ProxiedResponse | undefined {
    const params = Object.fromEntries(new URLSearchParams(body))
    const kind = kindOf(params)
    const isValid =
      method === 'POST' &&
      url.search === '' &&
      url.pathname === (kind === 'revocation' ? '/oauth2/revoke' : '/oauth2/token') &&
      contentType.startsWith('application/x-www-form-urlencoded') &&
      String(Object.keys(params).sort()) === String(PARAMETERS[kind] ?? 'nothing')
    if (isValid) return undefined
    this.mistakes.push(`${method} ${url.pathname}${url.search} with ${String(Object.keys(params))}`)
    return { status: 400, json: { error: 'invalid_request' } }
  }

  #record({ url, body }: ProxiedRequest, { status, json }: ProxiedResponse): void {
    const params = Object.fromEntries(new URLSearchParams(body))
    this.calls.push({ endpoint: url.pathname as Endpoint, params, status })
    if (status !== 200) return
    const kind = kindOf(params)
    if (kind === 'revocation') this.#revoke(params['token'])
    else this.#issue(kind === 'refresh_token' ? params['refresh_token'] : undefined, json as TokenResponse)
  }

  #issue(
    usedRefreshToken: string | undefined,
    { access_token, refresh_token, id_token = '', scope }: TokenResponse
  ): void {
    let grant = this.grants.find(({ refreshToken }) => refreshToken === usedRefreshToken)
    if (grant === undefined) {
      const claims = Buffer.from(id_token.split('.')[1] ?? '', 'base64url').toString()
      this.#idTokens.push(id_token)
      const { email: user } = JSON.parse(claims) as { email: string }
      grant = { user, scopes: scope.split(' '), refreshToken: refresh_token ?? '', accessTokens: [] }
      this.grants.push(grant)
    }
    grant.accessTokens.push(access_token)
    this.#active.set(access_token, grant)
  }

  #revoke(token: string | undefined): void {
    for (const [accessToken, { refreshToken }] of this.#active) {
      if (token === refreshToken) this.#active.delete(accessToken)
    }
  }
}

function kindOf(params: Readonly<Record<string, string>>): string {
  return params['grant_type'] ?? 'revocation'
}
