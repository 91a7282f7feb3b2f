/** A user with an account at the fake. */
export interface FakeOAuthUser {
  readonly id: string
  readonly email: string
  readonly name: string
}

export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'none'

export const FAKE_CLIENT_ID = 'fake-client-id'
/** Contains characters that must be encoded in a form, and then in a Basic header (RFC 6749, 2.3.1). */
export const FAKE_CLIENT_SECRET = 'fake-client-secret+/=:%'
export const FAKE_OAUTH_USER: FakeOAuthUser = { id: 'user-1', email: 'alice@example.com', name: 'Alice Example' }
export const FAKE_SCOPES: readonly string[] = ['files.read', 'files.write']

/** The behaviour of the authorization server. Tests may change it while the fake runs. */
export interface FakeOAuthRules {
  clientId: string
  clientSecret: string
  /** The registered method. Any other one is invalid_client, and a mistake. */
  clientAuthentication: ClientAuthentication
  /**
   * The refresh token in a refresh response. `keep`: none, the first one stays valid (Google). `rotate`: a new one,
   * earlier ones stay valid (Microsoft). `single-use`: a new one; using an old one ends the grant (Box).
   */
  rotation: 'keep' | 'rotate' | 'single-use'
  /** Lifetime of access tokens, sent as `expires_in`. Undefined: not sent, and they live as long as the grant. */
  accessTokenSeconds: number | undefined
  /** Whether a refresh invalidates the previous access token. */
  refreshEndsAccess: boolean
  /** Milliseconds since 1970. */
  now: () => number
  pkce: 'required' | 'optional'
  /** Compared as strings. */
  redirectUris: string[]
  /** All supported scopes. */
  scopes: readonly string[]
  /** The scopes of a request without `scope`, as with Box. Undefined: such a request is a mistake. */
  defaultScopes: readonly string[] | undefined
  /**
   * Refresh tokens require `access_type=offline`. They are issued only for the first authorization of a user without
   * an active grant, unless `prompt` contains `consent` (Google).
   */
  needsOfflineAccess: boolean
  /** Allowed parameters of authorization requests besides those of RFC 6749 and RFC 7636. */
  extraParameters: readonly string[]
  /** `anonymous`: revocation requires only the token, and credentials are ignored (Google). */
  revocation: 'authenticated' | 'anonymous'
}

export type FakeOAuthOptions = Partial<FakeOAuthRules>

export function withDefaults(options: FakeOAuthOptions): FakeOAuthRules {
  return {
    clientId: FAKE_CLIENT_ID,
    clientSecret: FAKE_CLIENT_SECRET,
    clientAuthentication: 'client_secret_post',
    rotation: 'keep',
    accessTokenSeconds: 3600,
    refreshEndsAccess: false,
    now: () => Date.now(),
    pkce: 'required',
    scopes: FAKE_SCOPES,
    defaultScopes: undefined,
    needsOfflineAccess: false,
    extraParameters: ['access_type', 'prompt', 'include_granted_scopes', 'login_hint', 'nonce', 'response_mode'],
    revocation: 'authenticated',
    ...options,
    redirectUris: [...(options.redirectUris ?? [])]
  }
}
