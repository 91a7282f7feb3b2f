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
 * Where providers send users back to: the one route that asks for no user, since a browser brings nothing but cookies.
 * The user is the one who began the flow, and the cookie of that flow proves that it is the same browser.
 */
export function callbackRoute(
  app: FastifyInstance,
  { authenticate, loadProvider, oauthFlow }: CallbackRouteDeps,
  places: PublicPlaces,
  describe: Describe
): void {
  // What comes back must neither be kept nor told to the next page. The query holds the code.
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer')
  })

  // Nothing happens, but here: the host's own 404 would write the query to its log.
  const refusal = { schema: describe('refuseAuthorization') }
  app.head(CALLBACK, refusal, async (_request, reply) => reply.code(405).header('allow', 'GET').send())

  // Whatever a provider adds to its answer, the flow judges it.
  const options = { schema: describe('finishAuthorization'), validatorCompiler: unchecked, exposeHeadRoute: false }
  app.get<{ Params: { provider: string } }>(CALLBACK, options, async (request, reply) => {
    const provider = await loadProvider(request.params.provider)
    if (!isOAuthProvider(provider)) throw new StorageError('PROVIDER_UNKNOWN', 'There is no such provider.')
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
      // Of an earlier try, where a page gave its own address.
      location.searchParams.delete('error')
    }
    return reply.code(303).header('location', location.href).send()
  })
}

/** As it came: the host may have another parser, which drops what comes twice. */
function queryOf(request: FastifyRequest): URLSearchParams {
  const [, ...query] = (request.raw.url ?? '').split('?')
  return new URLSearchParams(query.join('?'))
}

/** Who the browser is, where the host can tell without the headers that a page of its own would send. */
async function userIfAny(authenticate: Authenticate, request: FastifyRequest): Promise<string | null> {
  try {
    return await identify(authenticate, request)
  } catch (error) {
    if (isStorageError(error, 'UNAUTHENTICATED')) return null
    throw error
  }
}
