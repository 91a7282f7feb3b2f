/** Whoever has an account at the fake. */
export interface FakeOAuthUser {
  readonly id: string
  readonly email: string
  readonly name: string
}

export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'none'

export const FAKE_CLIENT_ID = 'fake-client-id'
/** With what has to be encoded in a form, and once more in a Basic header (RFC 6749, 2.3.1). */
export const FAKE_CLIENT_SECRET = 'fake-client-secret+/=:%'
export const FAKE_OAUTH_USER: FakeOAuthUser = { id: 'user-1', email: 'alice@example.com', name: 'Alice Example' }
export const FAKE_SCOPES: readonly string[] = ['files.read', 'files.write']

/** What an authorization server of its kind does. Tests may change it while the fake runs. */
export interface FakeOAuthRules {
  clientId: string
  clientSecret: string
  /** The one method that is registered; any other is invalid_client, and a mistake. */
  clientAuthentication: ClientAuthentication
  /**
   * What a refresh gives. `keep`: no refresh token, the first one stays (Google). `rotate`: another each time, those
   * before go on working (Microsoft). `single-use`: another each time; whoever uses one twice ends the grant (Box).
   */
  rotation: 'keep' | 'rotate' | 'single-use'
  /** How long access tokens live, sent as `expires_in`. Undefined: none is sent, and they live as long as the grant. */
  accessTokenSeconds: number | undefined
  /** Whether a refresh ends the access token before it. */
  refreshEndsAccess: boolean
  /** Milliseconds since 1970. */
  now: () => number
  pkce: 'required' | 'optional'
  /** Compared as strings. */
  redirectUris: string[]
  /** All that it knows. */
  scopes: readonly string[]
  /** What is granted to a request without `scope`, as Box does. Undefined: such a request is a mistake. */
  defaultScopes: readonly string[] | undefined
  /**
   * Refresh tokens are for `access_type=offline`, and then only for the first authorization of a user whose grant
   * lives, unless `prompt` has `consent` in it (Google).
   */
  needsOfflineAccess: boolean
  /** What an authorization request may have besides the parameters of RFC 6749 and RFC 7636. */
  extraParameters: readonly string[]
  /** `anonymous`: the token alone is enough to revoke it, and credentials are not looked at (Google). */
  revocation: 'authenticated' | 'anonymous'
}

export type FakeOAuthOptions = Partial<FakeOAuthRules>

export function rulesOf(options: FakeOAuthOptions): FakeOAuthRules {
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
