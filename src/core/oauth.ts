import type { Egress } from './egress.ts'
import type { Secret } from './secret.ts'

/**
 * A provider's authorization server, in the terms of RFC 8414. All values are constants; none comes from a response.
 * `{tenant}` is a placeholder for the tenant.
 */
export interface AuthorizationServer {
  /** The expected `iss` parameter (RFC 9207), if the server sends one. */
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  /** RFC 7009. Absent: users can end grants only in their account at the provider. */
  readonly revocationEndpoint?: string
}

/** A provider that uses the authorization code flow (RFC 6749) with PKCE (RFC 7636). */
export interface OAuthConnect {
  readonly type: 'oauth2'
  readonly server: AuthorizationServer
  /** The client authentication method at the token endpoint. */
  readonly clientAuthentication: 'client_secret_basic' | 'client_secret_post'
  /**
   * The minimal scopes for listing and downloading; operators may configure others. Empty: the registration at the
   * provider defines the grant, and no `scope` is sent.
   */
  readonly scopes: readonly string[]
  /** Default tenant; only its accounts may connect. Absent: the server has no tenants. */
  readonly tenant?: string
  /** Additional parameters of the authorization request, for example to obtain a refresh token. */
  readonly authorizationParameters?: Readonly<Record<string, string>>
  /** Returns the canonical name of a scope, if responses name scopes differently from requests. */
  readonly scopeName?: (scope: string) => string
  /** Returns true if a refusal means that the grant has ended. Default: `invalid_grant` alone. */
  readonly endsGrant?: (response: TokenErrorResponse) => boolean
  /** Revokes a grant if the server has no endpoint of RFC 7009. @param accessToken a valid one */
  readonly revoke?: (accessToken: Secret<string>, context: RevokeContext) => Promise<void>
}

/** An error response of a token endpoint. */
export interface TokenErrorResponse {
  /** RFC 6749, 5.2. */
  readonly error: string
  /** The whole response body: some providers add details. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface RevokeContext {
  readonly egress: Pick<Egress, 'request'>
  readonly signal: AbortSignal
}

/** The host application's registration at a provider. */
export interface OAuthClientSettings {
  readonly clientId: string
  readonly clientSecret: Secret<string>
  /** Replaces the provider's default scopes. */
  readonly scopes?: readonly string[]
  /** Replaces the provider's default tenant. */
  readonly tenant?: string
}

/** The tokens of a token endpoint's response. */
export interface TokenSet {
  readonly accessToken: Secret<string>
  /** `null` if the response contains none: the existing refresh token stays valid. */
  readonly refreshToken: Secret<string> | null
  /** Milliseconds until the access token expires, counted from before the request; `null` if unknown. */
  readonly lifetimeMs: number | null
  /** The granted scopes; `null` if they equal the requested ones. */
  readonly scopes: readonly string[] | null
}

/** The access tokens of one connection. They are refreshed ahead of expiry, once for all processes. */
export interface AccessTokens {
  /**
   * Returns a token that should be valid now.
   *
   * @throws StorageError `CONNECTION_INACTIVE` if the grant has ended, `CONNECTION_MISSING`, `PROVIDER_UNAVAILABLE`,
   * `PROVIDER_THROTTLED`, `DATABASE_UNAVAILABLE`
   */
  current(signal: AbortSignal): Promise<Secret<string>>
  /**
   * Returns a token other than `rejectedToken`, to which the provider has just responded with 401.
   *
   * @throws StorageError as `current`, and `ACCESS_DENIED` if new tokens are refused immediately, too
   */
  renewed(rejectedToken: Secret<string>, signal: AbortSignal): Promise<Secret<string>>
}

/** The parameters of an authorization request. */
export interface AuthorizationRequest {
  readonly redirectUri: string
  readonly state: string
  /** Challenge method: S256. */
  readonly codeVerifier: Secret<string>
}

/** The provider's redirect back to us. */
export interface AuthorizationResponse extends AuthorizationRequest {
  /** The query parameters of the redirect URI: `code`, `state` and others. */
  readonly parameters: URLSearchParams
}

/** A client registration at one authorization server. All requests use the provider's guarded egress. */
export interface OAuthClient {
  /** The requested scopes. */
  readonly scopes: readonly string[]
  authorizationUrl(request: AuthorizationRequest): Promise<string>
  /**
   * Exchanges a code for tokens. A response of another issuer or for another `state` is rejected before any request
   * to the token endpoint.
   *
   * @throws StorageError `INVALID_STATE`, `ACCESS_DENIED` if the user declined, and the errors of `refresh`
   */
  exchange(response: AuthorizationResponse, signal: AbortSignal): Promise<TokenSet>
  /**
   * @returns `null` if the grant has ended: this token will never work again
   * @throws StorageError `PROVIDER_UNAVAILABLE` (also for a timeout), `PROVIDER_THROTTLED`, `ENDPOINT_FORBIDDEN`
   */
  refresh(refreshToken: Secret<string>, signal: AbortSignal): Promise<TokenSet | null>
  /** Revokes the grant at the provider, if the provider supports it. */
  revoke(tokens: Pick<TokenSet, 'accessToken' | 'refreshToken'>, signal: AbortSignal): Promise<void>
}
