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

/** The user in their account, the application at `/revoke`, or the fake, which saw something twice. */
export type GrantEnd = 'user' | 'client' | 'refresh token reuse' | 'code reuse'

/** What a user allowed the application once; all tokens which came of it end with it. */
export class FakeGrant {
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  /** How often it was refreshed with success. */
  refreshes = 0
  /** The newest. */
  accessToken = ''
  /** The newest; undefined if the grant has none. */
  refreshToken: string | undefined
  endedBy: GrantEnd | undefined

  constructor(user: FakeOAuthUser, scopes: readonly string[]) {
    this.user = user
    this.scopes = scopes
  }

  get isAlive(): boolean {
    return this.endedBy === undefined
  }

  /** Whether a single-use refresh token came twice. */
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

/** All grants and their tokens. Nothing in here waits: of requests at the same time, one is the first. */
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

  /** The access token is live now: not expired, and its grant not ended. */
  check(token: string): { readonly grant: FakeGrant; readonly scopes: readonly string[] } | null {
    const found = this.#access.get(token)
    return found?.grant.isAlive === true && this.#rules.now() < found.expiresAt ? found : null
  }

  /** A token that is no longer good for anything revokes nothing: the application believes wrongly that it did. */
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
    // Not of the URL's alphabet, so that one which is encoded wrongly is unknown.
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
