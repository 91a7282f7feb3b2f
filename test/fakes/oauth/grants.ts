import { randomBytes } from 'node:crypto'
import { OAuthMistake, OAuthFailure } from './response.ts'
import type { FakeOAuthRules, FakeOAuthUser } from './rules.ts'

export interface FakeTokenResponse {
  readonly access_token: string
  readonly token_type: 'Bearer'
  readonly expires_in?: number
  readonly refresh_token?: string
  readonly scope: string
}

/** What ended a grant: the user, the application at `/revoke`, or the fake after a repeated use. */
export type GrantEnd = 'user' | 'client' | 'refresh token reuse' | 'code reuse'

/** A user's consent. All tokens issued from it end with it. */
export class FakeGrant {
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  /** The number of successful refreshes. */
  refreshes = 0
  /** The latest one. */
  accessToken = ''
  /** The latest one; undefined if the grant has none. */
  refreshToken: string | undefined
  endedBy: GrantEnd | undefined

  constructor(user: FakeOAuthUser, scopes: readonly string[]) {
    this.user = user
    this.scopes = scopes
  }

  get isAlive(): boolean {
    return this.endedBy === undefined
  }

  /** Whether a single-use refresh token was used twice. */
  get reuseDetected(): boolean {
    return this.endedBy === 'refresh token reuse'
  }

  end(reason: GrantEnd): void {
    this.endedBy ??= reason
  }
}

interface AccessToken {
  readonly grant: FakeGrant
  readonly scopes: readonly string[]
  expiresAt: number
}

interface RefreshToken {
  readonly grant: FakeGrant
  isUsed: boolean
}

export interface GrantOptions {
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  readonly hasRefreshToken: boolean
  readonly expiresInSeconds: number | undefined
}

/** All grants and their tokens. Its methods are synchronous, so concurrent requests are ordered. */
export class FakeGrants {
  readonly all: FakeGrant[] = []
  readonly #rules: FakeOAuthRules
  readonly #accessTokens = new Map<string, AccessToken>()
  readonly #refreshTokens = new Map<string, RefreshToken>()

  constructor(rules: FakeOAuthRules) {
    this.#rules = rules
  }

  create({ user, scopes, hasRefreshToken, expiresInSeconds }: GrantOptions): FakeTokenResponse {
    const grant = new FakeGrant(user, scopes)
    this.all.push(grant)
    if (hasRefreshToken) this.#rotate(grant)
    return this.#respond(grant, scopes, hasRefreshToken, expiresInSeconds)
  }

  refresh(token: string, requestedScopes: readonly string[] | undefined): FakeTokenResponse {
    const stored = this.#refreshTokens.get(token)
    if (stored === undefined) throw new OAuthFailure('invalid_grant', 'The refresh token is unknown.')
    const { grant } = stored
    const { rotation, accessTokenSeconds, refreshEndsAccess } = this.#rules
    if (!grant.isAlive) throw new OAuthFailure('invalid_grant', 'The grant has ended.')
    if (stored.isUsed) {
      grant.end('refresh token reuse')
      throw new OAuthFailure('invalid_grant', 'The refresh token was used before.')
    }
    const ungrantedScope = requestedScopes?.find((scope) => !grant.scopes.includes(scope))
    if (ungrantedScope !== undefined)
      throw new OAuthMistake('invalid_scope', `the scope ${ungrantedScope}, which was not granted`)

    grant.refreshes++
    if (refreshEndsAccess) this.#accessTokens.delete(grant.accessToken)
    if (rotation === 'single-use') stored.isUsed = true
    if (rotation !== 'keep') this.#rotate(grant)
    return this.#respond(grant, requestedScopes ?? grant.scopes, rotation !== 'keep', accessTokenSeconds)
  }

  /** Returns the access token if it is valid now: not expired, and its grant not ended. */
  check(token: string): { readonly grant: FakeGrant; readonly scopes: readonly string[] } | null {
    const stored = this.#accessTokens.get(token)
    return stored?.grant.isAlive === true && this.#rules.now() < stored.expiresAt ? stored : null
  }

  /** Revoking an invalid token has no effect, although the application may assume one. */
  revoke(token: string): void {
    const refresh = this.#refreshTokens.get(token)
    const grant = refresh?.isUsed === false ? refresh.grant : this.check(token)?.grant
    grant?.end('client')
  }

  ofUser(userId: string): FakeGrant[] {
    return this.all.filter((grant) => grant.user.id === userId && grant.isAlive)
  }

  expireAccessTokens(): void {
    for (const token of this.#accessTokens.values()) token.expiresAt = -Infinity
  }

  #rotate(grant: FakeGrant): void {
    // Not base64url, so that a wrongly encoded token is unknown.
    const token = `rt//${randomBytes(33).toString('base64')}+=`
    grant.refreshToken = token
    this.#refreshTokens.set(token, { grant, isUsed: false })
  }

  #respond(
    grant: FakeGrant,
    scopes: readonly string[],
    includesRefreshToken: boolean,
    expiresInSeconds: number | undefined
  ): FakeTokenResponse {
    grant.accessToken = `at-${randomBytes(32).toString('base64url')}`
    const expiresAt = expiresInSeconds === undefined ? Infinity : this.#rules.now() + expiresInSeconds * 1000
    this.#accessTokens.set(grant.accessToken, { grant, scopes, expiresAt })
    return {
      access_token: grant.accessToken,
      token_type: 'Bearer',
      ...(expiresInSeconds !== undefined && { expires_in: expiresInSeconds }),
      ...(includesRefreshToken && grant.refreshToken !== undefined && { refresh_token: grant.refreshToken }),
      scope: scopes.join(' ')
    }
  }
}
