import { randomBytes } from 'node:crypto'
import { OAuthMistake, OAuthRefusal } from './answer.ts'
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

  end(by: GrantEnd): void {
    this.endedBy ??= by
  }
}

interface AccessToken {
  readonly grant: FakeGrant
  readonly scopes: readonly string[]
  expiresAt: number
}

interface RefreshToken {
  readonly grant: FakeGrant
  isSpent: boolean
}

export interface NewGrant {
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  readonly hasRefreshToken: boolean
  readonly expiresInSeconds: number | undefined
}

/** All grants and their tokens. Its methods are synchronous, so concurrent requests are ordered. */
export class FakeGrants {
  readonly all: FakeGrant[] = []
  readonly #rules: FakeOAuthRules
  readonly #access = new Map<string, AccessToken>()
  readonly #refresh = new Map<string, RefreshToken>()

  constructor(rules: FakeOAuthRules) {
    this.#rules = rules
  }

  begin({ user, scopes, hasRefreshToken, expiresInSeconds }: NewGrant): FakeTokenResponse {
    const grant = new FakeGrant(user, scopes)
    this.all.push(grant)
    if (hasRefreshToken) this.#rotate(grant)
    return this.#respond(grant, scopes, hasRefreshToken, expiresInSeconds)
  }

  refresh(token: string, narrowed: readonly string[] | undefined): FakeTokenResponse {
    const found = this.#refresh.get(token)
    if (found === undefined) throw new OAuthRefusal('invalid_grant', 'The refresh token is unknown.')
    const { grant } = found
    const { rotation, accessTokenSeconds, refreshEndsAccess } = this.#rules
    if (!grant.isAlive) throw new OAuthRefusal('invalid_grant', 'The grant has ended.')
    if (found.isSpent) {
      grant.end('refresh token reuse')
      throw new OAuthRefusal('invalid_grant', 'The refresh token was used before.')
    }
    const foreign = narrowed?.find((scope) => !grant.scopes.includes(scope))
    if (foreign !== undefined) throw new OAuthMistake('invalid_scope', `the scope ${foreign}, which was not granted`)

    grant.refreshes++
    if (refreshEndsAccess) this.#access.delete(grant.accessToken)
    if (rotation === 'single-use') found.isSpent = true
    if (rotation !== 'keep') this.#rotate(grant)
    return this.#respond(grant, narrowed ?? grant.scopes, rotation !== 'keep', accessTokenSeconds)
  }

  /** Returns the access token if it is valid now: not expired, and its grant not ended. */
  check(token: string): { readonly grant: FakeGrant; readonly scopes: readonly string[] } | null {
    const found = this.#access.get(token)
    return found?.grant.isAlive === true && this.#rules.now() < found.expiresAt ? found : null
  }

  /** Revoking an invalid token has no effect, although the application may assume one. */
  revoke(token: string): void {
    const refresh = this.#refresh.get(token)
    const grant = refresh?.isSpent === false ? refresh.grant : this.check(token)?.grant
    grant?.end('client')
  }

  ofUser(userId: string): FakeGrant[] {
    return this.all.filter((grant) => grant.user.id === userId && grant.isAlive)
  }

  expireAccessTokens(): void {
    for (const token of this.#access.values()) token.expiresAt = -Infinity
  }

  #rotate(grant: FakeGrant): void {
    // Not base64url, so that a wrongly encoded token is unknown.
    const token = `rt//${randomBytes(33).toString('base64')}+=`
    grant.refreshToken = token
    this.#refresh.set(token, { grant, isSpent: false })
  }

  #respond(
    grant: FakeGrant,
    scopes: readonly string[],
    withRefreshToken: boolean,
    seconds: number | undefined
  ): FakeTokenResponse {
    grant.accessToken = `at-${randomBytes(32).toString('base64url')}`
    const expiresAt = seconds === undefined ? Infinity : this.#rules.now() + seconds * 1000
    this.#access.set(grant.accessToken, { grant, scopes, expiresAt })
    return {
      access_token: grant.accessToken,
      token_type: 'Bearer',
      ...(seconds !== undefined && { expires_in: seconds }),
      ...(withRefreshToken && grant.refreshToken !== undefined && { refresh_token: grant.refreshToken }),
      scope: scopes.join(' ')
    }
  }
}
