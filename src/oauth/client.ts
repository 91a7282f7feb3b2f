import type * as OpenIdClient from 'openid-client'
import type { Configuration, TokenEndpointResponse } from 'openid-client'
import type { Egress } from '../core/egress.ts'
import { isStorageError } from '../errors.ts'
import type {
  AuthorizationResponse,
  AuthorizationRequest,
  OAuthClient,
  OAuthClientSettings,
  OAuthConnect,
  TokenSet
} from '../core/oauth.ts'
import { Secret } from '../core/secret.ts'
import { createEgressFetch } from '../net/egress.ts'
import { exchangeFailure, type Exchange, isGrantEnded, tokenFailure } from './errors.ts'

/** Tokens have some hundred bytes. Error pages are not read. */
const MAX_RESPONSE_BYTES = 64 * 1024
/** Sealed credentials have a maximal length; excessive tokens are rejected here. */
const MAX_TOKEN_LENGTH = 8192

/**
 * Creates the client of one provider, based on `openid-client`. Each call has its own configuration, so that it has
 * its caller's signal and its failure can be attributed.
 */
export function createOAuthClient(
  connect: OAuthConnect,
  settings: OAuthClientSettings,
  egress: Pick<Egress, 'request'>
): OAuthClient {
  const scopes = settings.scopes ?? connect.scopes

  async function call<T>(
    signal: AbortSignal,
    invoke: (library: typeof OpenIdClient, config: Configuration) => Promise<T>,
    onFailure: (error: unknown, exchange: Exchange) => T
  ): Promise<T> {
    const library = await import('openid-client')
    const exchange: Exchange = {}
    const send = createEgressFetch((request) => egress.request(request), { maxBytes: MAX_RESPONSE_BYTES, signal })
    const config = createConfiguration(library, connect, settings)
    config[library.customFetch] = async (url, options) => {
      try {
        const { signal: _librarySignal, ...init } = options
        exchange.host = new URL(url).host
        const response = await send(url, init as RequestInit)
        exchange.response = { status: response.status, headers: Object.fromEntries(response.headers) }
        return response
      } catch (error) {
        exchange.failure = error
        throw error
      }
    }
    try {
      return await invoke(library, config)
    } catch (error) {
      signal.throwIfAborted()
      try {
        return onFailure(error, exchange)
      } catch (failure) {
        throw isStorageError(failure) ? failure.about({ host: exchange.host }) : failure
      }
    }
  }

  /**
   * Returns an unexpired access token, since the stored one may have expired; `null` if the grant has ended. If the
   * endpoint is unavailable, returns the stored one, which may still be valid.
   */
  async function getUsableAccessToken(
    stored: Secret<string>,
    refreshToken: Secret<string>,
    signal: AbortSignal
  ): Promise<Secret<string> | null> {
    try {
      return (await client.refresh(refreshToken, signal))?.accessToken ?? null
    } catch (error) {
      if (isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED')) return stored
      throw error
    }
  }

  const client: OAuthClient = {
    scopes,

    async authorizationUrl({ redirectUri, state, codeVerifier }: AuthorizationRequest): Promise<string> {
      const library = await import('openid-client')
      const url = library.buildAuthorizationUrl(createConfiguration(library, connect, settings), {
        ...connect.authorizationParameters,
        redirect_uri: redirectUri,
        ...(scopes.length > 0 && { scope: scopes.join(' ') }),
        state,
        code_challenge: await library.calculatePKCECodeChallenge(codeVerifier.reveal()),
        code_challenge_method: 'S256'
      })
      return url.href
    },

    async exchange({ redirectUri, state, codeVerifier, parameters }: AuthorizationResponse, signal): Promise<TokenSet> {
      // Not the URL of the request: its Host header can be forged.
      const callbackUrl = new URL(redirectUri)
      callbackUrl.search = parameters.toString()
      return await call(
        signal,
        async (library, config) =>
          parseTokens(
            await library.authorizationCodeGrant(config, callbackUrl, {
              expectedState: state,
              pkceCodeVerifier: codeVerifier.reveal()
            })
          ),
        (error, exchange) => {
          throw exchangeFailure(error, exchange)
        }
      )
    },

    async refresh(refreshToken, signal): Promise<TokenSet | null> {
      return await call<TokenSet | null>(
        signal,
        async (library, config) => parseTokens(await library.refreshTokenGrant(config, refreshToken.reveal())),
        (error, exchange) => {
          if (isGrantEnded(error, exchange, connect)) return null
          throw tokenFailure(error, exchange)
        }
      )
    },

    async revoke({ accessToken, refreshToken }, signal): Promise<void> {
      if (connect.revoke !== undefined) {
        const usableToken =
          refreshToken === null ? accessToken : await getUsableAccessToken(accessToken, refreshToken, signal)
        if (usableToken !== null) await connect.revoke(usableToken, { egress, signal })
        return
      }
      if (connect.server.revocationEndpoint === undefined) return
      // Revoking the refresh token ends the whole grant, and an access token expires by itself.
      const token = refreshToken ?? accessToken
      await call(
        signal,
        (library, config) => library.tokenRevocation(config, token.reveal()),
        (error, exchange) => {
          throw tokenFailure(error, exchange)
        }
      )
    }
  }
  return client
}

function createConfiguration(
  library: typeof OpenIdClient,
  { server, clientAuthentication, tenant: defaultTenant = '' }: OAuthConnect,
  { clientId, clientSecret, tenant = defaultTenant }: OAuthClientSettings
): Configuration {
  const secret = clientSecret.reveal()
  const expandTenant = (url: string): string => url.replaceAll('{tenant}', tenant)
  const config = new library.Configuration(
    {
      issuer: expandTenant(server.issuer),
      authorization_endpoint: expandTenant(server.authorizationEndpoint),
      token_endpoint: expandTenant(server.tokenEndpoint),
      ...(server.revocationEndpoint !== undefined && { revocation_endpoint: expandTenant(server.revocationEndpoint) })
    },
    clientId,
    undefined,
    clientAuthentication === 'client_secret_basic'
      ? library.ClientSecretBasic(secret)
      : library.ClientSecretPost(secret)
  )
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the egress rules decide about plain http
  library.allowInsecureRequests(config)
  // The timeout is the caller's.
  config.timeout = 0
  return config
}

function parseTokens({ access_token, refresh_token, expires_in, scope, token_type }: TokenEndpointResponse): TokenSet {
  for (const token of [access_token, refresh_token ?? access_token]) {
    if (token.length > MAX_TOKEN_LENGTH) throw new RangeError('the token is too long')
  }
  if (token_type.toLowerCase() !== 'bearer') throw new TypeError('the token type is not bearer')
  return {
    accessToken: new Secret(access_token),
    refreshToken: refresh_token === undefined ? null : new Secret(refresh_token),
    lifetimeMs: expires_in === undefined ? null : expires_in * 1000,
    scopes: scope === undefined ? null : scope.split(' ').filter((word) => word !== '')
  }
}
