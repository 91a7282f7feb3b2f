import type { Egress } from './egress.ts'
import type { Secret } from './secret.ts'

/**
 * Where a provider lets users grant access (RFC 8414 has these words). None of it comes from an answer. `{tenant}` in it
 * stands for the tenant.
 */
export interface AuthorizationServer {
  /** What its `iss` parameter says (RFC 9207), where it sends one. */
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  /** RFC 7009. Left out: grants end in the user's account at the provider alone. */
  readonly revocationEndpoint?: string
}

/** A provider where users grant access in their browser: the authorization code flow (RFC 6749) with PKCE (RFC 7636). */
export interface OAuthConnect {
  readonly type: 'oauth2'
  readonly server: AuthorizationServer
  /** How the client proves itself at the token endpoint. */
  readonly clientAuthentication: 'client_secret_basic' | 'client_secret_post'
  /**
   * The least that lists and downloads; an operator may ask for others. None: the registration at the provider says
   * what is granted, and no `scope` is sent.
   */
  readonly scopes: readonly string[]
  /** Whose accounts may be connected, unless the operator says otherwise. Left out: the server has no tenants. */
  readonly tenant?: string
  /** What the authorization endpoint is asked besides, for a refresh token for one. */
  readonly authorizationParameters?: Readonly<Record<string, string>>
  /** What the names of one scope have in common, where answers call it otherwise than questions do. */
  readonly scopeName?: (scope: string) => string
  /** Whether a refusal says that the grant has ended. Left out: `invalid_grant` says so, and nothing else. */
  readonly endsGrant?: (refusal: TokenRefusal) => boolean
  /** Ends a grant where the server has no endpoint of RFC 7009 for that. @param accessToken one that works */
  readonly revoke?: (accessToken: Secret<string>, context: RevokeContext) => Promise<void>
}

/** What a token endpoint says instead of giving tokens. */
export interface TokenRefusal {
  /** RFC 6749, 5.2. */
  readonly error: string
  /** All of its answer: providers say more. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface RevokeContext {
  readonly egress: Pick<Egress, 'request'>
  readonly signal: AbortSignal
}

/** The host's registration at a provider. */
export interface OAuthClientSettings {
  readonly clientId: string
  readonly clientSecret: Secret<string>
  /** Instead of the provider's own. */
  readonly scopes?: readonly string[]
  /** Instead of the provider's own. */
  readonly tenant?: string
}

/** What a token endpoint gave. */
export interface TokenSet {
  readonly accessToken: Secret<string>
  /** `null` where the answer holds none: one that was there before goes on. */
  readonly refreshToken: Secret<string> | null
  /** Milliseconds until the access token ends, counted from before it was asked for; `null` where nobody says. */
  readonly lifetimeMs: number | null
  /** What was granted; `null`: what was asked for. */
  readonly scopes: readonly string[] | null
}

/** The access tokens of one connection. They are renewed ahead of time, once for all processes. */
export interface AccessTokens {
  /**
   * One that should work now.
   *
   * @throws StorageError `CONNECTION_INACTIVE` where the grant has ended, `CONNECTION_MISSING`, `PROVIDER_UNAVAILABLE`,
   * `PROVIDER_THROTTLED`, `DATABASE_UNAVAILABLE`
   */
  current(signal: AbortSignal): Promise<Secret<string>>
  /**
   * Another one than `refused`, which the provider has just answered with a 401.
   *
   * @throws StorageError as `current`, and `ACCESS_DENIED` where tokens are refused as fast as they are made
   */
  renewed(refused: Secret<string>, signal: AbortSignal): Promise<Secret<string>>
}

/** What the provider's own page is asked with. */
export interface AuthorizationRequest {
  readonly redirectUri: string
  readonly state: string
  /** S256. */
  readonly codeVerifier: Secret<string>
}

/** The provider's redirect back. */
export interface AuthorizationAnswer extends AuthorizationRequest {
  /** As it stood behind the redirect URI: `code`, `state` and what else. */
  readonly parameters: URLSearchParams
}

/** One registration at one authorization server. All calls leave through the provider's guarded way out. */
export interface OAuthClient {
  /** What a user grants if all goes well. */
  readonly scopes: readonly string[]
  authorizationUrl(request: AuthorizationRequest): Promise<string>
  /**
   * Makes tokens of a code. An answer of another issuer, or to another question, is refused before the token endpoint
   * is asked.
   *
   * @throws StorageError `INVALID_STATE`, `ACCESS_DENIED` where the user said no, and what `refresh` throws
   */
  exchange(answer: AuthorizationAnswer, signal: AbortSignal): Promise<TokenSet>
  /**
   * @returns `null` where the grant has ended: this token will never work again
   * @throws StorageError `PROVIDER_UNAVAILABLE` (also for a time-out), `PROVIDER_THROTTLED`, `ENDPOINT_FORBIDDEN`
   */
  refresh(refreshToken: Secret<string>, signal: AbortSignal): Promise<TokenSet | null>
  /** Ends the grant at the provider, where there is a way to do that. */
  revoke(tokens: Pick<TokenSet, 'accessToken' | 'refreshToken'>, signal: AbortSignal): Promise<void>
}
