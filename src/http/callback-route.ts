import { parseCookie, type SetCookie, stringifySetCookie } from 'cookie'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { BrowserNonce, OAuthFlow } from '../connections/oauth-flow.ts'
import type { ProviderCatalog } from '../connections/provider-catalog.ts'
import { isStorageError, StorageError } from '../errors.ts'
import { type Authenticate, identify } from './authentication.ts'
import { type DescribeRoute, skipValidation } from './openapi/describe.ts'
import { logFailure } from './problem.ts'

export interface CallbackRouteDeps {
  readonly authenticate: Authenticate
  readonly providers: ProviderCatalog
  readonly oauthFlow: OAuthFlow
}

const CALLBACK_PATH = '/connections/:provider/callback'

/**
 * Registers the redirect target of providers. It is the only route without authentication, since the browser sends
 * nothing but cookies. The flow contains the user's id, and its cookie proves that the same browser began it.
 */
export function callbackRoute(
  app: FastifyInstance,
  { authenticate, providers, oauthFlow }: CallbackRouteDeps,
  urls: PublicUrls,
  describe: DescribeRoute
): void {
  // The query contains the authorization code: no cache may store the response, and no page may receive the referrer.
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer')
  })

  // Registered so that the host's own 404 handler does not log the query.
  const headOptions = { schema: describe('refuseAuthorization') }
  app.head(CALLBACK_PATH, headOptions, async (_request, reply) => reply.code(405).header('allow', 'GET').send())

  // The flow checks the parameters, since providers may add others.
  const options = { schema: describe('finishAuthorization'), validatorCompiler: skipValidation, exposeHeadRoute: false }
  app.get<{ Params: { provider: string } }>(CALLBACK_PATH, options, async (request, reply) => {
    const prepared = await providers.prepare(request.params.provider)
    if (prepared.client === null) throw new StorageError('PROVIDER_UNKNOWN')
    const redirectUri = urls.redirectUri(prepared.provider.id)
    const { nonceId, returnTo, error } = await oauthFlow.finish({
      prepared,
      redirectUri: redirectUri.href,
      parameters: parseRawQuery(request),
      nonces: readNonces(request.headers.cookie),
      userId: await tryIdentify(authenticate, request)
    })
    reply.header('set-cookie', stringifySetCookie(expiredNonceCookie(nonceId, redirectUri)))
    const location = new URL(returnTo)
    if (error !== null) {
      logFailure(request, error.statusCode, error)
      location.searchParams.set('error', error.code)
    } else if (location.searchParams.has('error')) {
      // Left from an earlier attempt, if a page passed its own URL as `returnTo`.
      location.searchParams.delete('error')
    }
    return reply.code(303).header('location', location.href).send()
  })
}

/** Returns the unparsed query: the host's own parser may drop repeated parameters. */
function parseRawQuery(request: FastifyRequest): URLSearchParams {
  const [, ...query] = (request.raw.url ?? '').split('?')
  return new URLSearchParams(query.join('?'))
}

/** Returns the user, or `null` if the host needs headers that a browser does not send when it follows a link. */
async function tryIdentify(authenticate: Authenticate, request: FastifyRequest): Promise<string | null> {
  try {
    return await identify(authenticate, request)
  } catch (error) {
    if (isStorageError(error, 'UNAUTHENTICATED')) return null
    throw error
  }
}

/** Before the flow's id: each flow has its own cookie, so that concurrent flows do not overwrite each other's nonce. */
const NONCE_COOKIE_PREFIX = 'cloud_oauth_'

/**
 * Returns the cookie that the browser sends to the callback only. It is `Lax`, not `Strict`, since the user returns
 * from another site.
 *
 * @param isCrossSite true if a front end on another site began the login: browsers store only `None` from there
 */
export function nonceCookie({ id, value, lifetimeMs }: BrowserNonce, callback: URL, isCrossSite: boolean): SetCookie {
  return {
    name: NONCE_COOKIE_PREFIX + id,
    value,
    path: callback.pathname,
    maxAge: Math.floor(lifetimeMs / 1000),
    httpOnly: true,
    secure: true,
    sameSite: isCrossSite ? 'none' : 'lax'
  }
}

/** Returns the cookie that deletes the nonce of a finished flow. */
function expiredNonceCookie(id: string, callback: URL): SetCookie {
  return nonceCookie({ id, value: '', lifetimeMs: 0 }, callback, false)
}

/** Returns the nonces of the browser's flows, by their ids. */
function readNonces(cookieHeader = ''): ReadonlyMap<string, string> {
  const nonces = new Map<string, string>()
  for (const [name, value] of Object.entries(parseCookie(cookieHeader))) {
    if (name.startsWith(NONCE_COOKIE_PREFIX) && value !== undefined) {
      nonces.set(name.slice(NONCE_COOKIE_PREFIX.length), value)
    }
  }
  return nonces
}

/** The URLs of the application for browsers. They depend only on the configuration, never on a request. */
export interface PublicUrls {
  /** Returns the redirect URI that is registered at the provider. */
  redirectUri(providerId: string): URL
  /**
   * Returns the absolute URL to which the user returns in the end. Default: the start page of the application.
   *
   * @throws StorageError `INVALID_REQUEST` for a URL that is neither inside the application nor on an allowed origin
   */
  returnTo(given: string | undefined): string
}

/**
 * @param prefix of the plugin's routes, below `publicUrl`
 * @param allowedOrigins origins of other front ends
 */
export function createPublicUrls(
  publicUrl: URL | undefined,
  prefix: string,
  allowedOrigins: ReadonlySet<string>
): PublicUrls {
  const getAppUrl = (): URL => {
    // The check of the options ensures that it is set if a provider needs it.
    if (publicUrl === undefined) throw new StorageError('INTERNAL', 'The option publicUrl is not set')
    return new URL(publicUrl.pathname.replace(/(?<!\/)\/*$/, '/'), publicUrl)
  }
  return {
    redirectUri(providerId) {
      const url = getAppUrl()
      url.pathname += `${prefix.replace(/^\/+/, '')}/connections/${providerId}/callback`
      return url
    },
    returnTo(given) {
      const appUrl = getAppUrl()
      if (given === undefined) return appUrl.href
      const url = URL.canParse(given, appUrl.href) ? new URL(given, appUrl) : null
      // The base URL itself is inside, with and without its trailing slash.
      const isInApp = url?.origin === appUrl.origin && `${url.pathname}/`.startsWith(appUrl.pathname)
      const isTrusted = url !== null && (isInApp || allowedOrigins.has(url.origin))
      if (isTrusted && url.username + url.password === '') return url.href
      throw new StorageError(
        'INVALID_REQUEST',
        'body/returnTo must be a URL of the application or of an allowed origin.'
      )
    }
  }
}
