import { stringifySetCookie } from 'cookie'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { OAuthFlow } from '../connections/oauth-flow.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import { isOAuthProvider, type ProviderDefinition } from '../domain/provider.ts'
import { type Authenticate, identify } from './authenticate.ts'
import { type Describe, unchecked } from './described.ts'
import { logFailure } from './log-failure.ts'
import { forgottenNonce, readNonce } from './nonce-cookie.ts'
import type { PublicPlaces } from './public-places.ts'
import { STATUS } from './status.ts'

export interface CallbackRouteDeps {
  readonly authenticate: Authenticate
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly oauthFlow: OAuthFlow
}

const CALLBACK = '/connections/:provider/callback'

/**
 * Registers the redirect target of providers. It is the only route without authentication, since the browser sends
 * nothing but cookies. The flow contains the user's id, and its cookie proves that the same browser began it.
 */
export function callbackRoute(
  app: FastifyInstance,
  { authenticate, loadProvider, oauthFlow }: CallbackRouteDeps,
  places: PublicPlaces,
  describe: Describe
): void {
  // The query contains the authorization code: no cache may store the response, and no page may receive the referrer.
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer')
  })

  // Registered so that the host's own 404 handler does not log the query.
  const refusal = { schema: describe('refuseAuthorization') }
  app.head(CALLBACK, refusal, async (_request, reply) => reply.code(405).header('allow', 'GET').send())

  // The flow checks the parameters, since providers may add others.
  const options = { schema: describe('finishAuthorization'), validatorCompiler: unchecked, exposeHeadRoute: false }
  app.get<{ Params: { provider: string } }>(CALLBACK, options, async (request, reply) => {
    const provider = await loadProvider(request.params.provider)
    if (!isOAuthProvider(provider)) throw new StorageError('PROVIDER_UNKNOWN', 'The provider is not enabled.')
    const redirectUri = places.redirectUri(provider.id)
    let nonceId: string | undefined
    const { returnTo, error } = await oauthFlow.finish({
      provider,
      redirectUri: redirectUri.href,
      parameters: queryOf(request),
      nonceOf: (id) => {
        nonceId = id
        return readNonce(request.headers.cookie, id)
      },
      userId: await userIfAny(authenticate, request)
    })
    if (nonceId !== undefined) {
      reply.header('set-cookie', stringifySetCookie(forgottenNonce(nonceId, redirectUri)))
    }
    const location = new URL(returnTo)
    if (error !== null) {
      logFailure(request, STATUS[error.code], error)
      location.searchParams.set('error', error.code)
    } else if (location.searchParams.has('error')) {
      // Left from an earlier attempt, if a page passed its own URL as `returnTo`.
      location.searchParams.delete('error')
    }
    return reply.code(303).header('location', location.href).send()
  })
}

/** Returns the unparsed query: the host's own parser may drop repeated parameters. */
function queryOf(request: FastifyRequest): URLSearchParams {
  const [, ...query] = (request.raw.url ?? '').split('?')
  return new URLSearchParams(query.join('?'))
}

/** Returns the user, or `null` if the host needs headers that a browser does not send when it follows a link. */
async function userIfAny(authenticate: Authenticate, request: FastifyRequest): Promise<string | null> {
  try {
    return await identify(authenticate, request)
  } catch (error) {
    if (isStorageError(error, 'UNAUTHENTICATED')) return null
    throw error
  }
}
