import { stringifySetCookie } from 'cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { LoginFlow } from '../connections/login-flow.ts'
import type { OAuthFlow } from '../connections/oauth-flow.ts'
import { isOAuthProvider, type OAuthProvider, type ProviderDefinition } from '../core/provider.ts'
import { clientSignal } from './in-flight.ts'
import { isFromOtherSite, type TrustedSites } from './authentication.ts'
import { parseLabel, viewOf } from './connection-routes.ts'
import { type Describe, unchecked } from './openapi/describe.ts'
import { nonceCookie } from './callback-route.ts'
import { type PublicPlaces } from './callback-route.ts'
import { loginFlowSchema, oauthFlowSchema } from './schemas.ts'
import { userOf } from './authentication.ts'
import type { compileBody } from './validation.ts'

export interface AuthorizeRouteDeps {
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly loginFlow: LoginFlow
  readonly oauthFlow: OAuthFlow
}

interface Surroundings {
  readonly places: PublicPlaces
  readonly sites: TrustedSites
}

const BODY_LIMIT = 16 * 1024
/** The polling interval for clients, in seconds. */
const POLL_AFTER = '2'

/** Registers the routes that connect through the provider's own pages. */
export function authorizeRoutes(
  app: FastifyInstance,
  { loadProvider, loginFlow, oauthFlow, places, sites }: AuthorizeRouteDeps & Surroundings,
  describe: Describe,
  compile: typeof compileBody
): void {
  const checkLogin = compile(loginFlowSchema)
  const checkOAuth = compile(oauthFlowSchema)

  async function beginOAuth(provider: OAuthProvider, request: FastifyRequest, reply: FastifyReply) {
    const body = request.body ?? {}
    checkOAuth(body)
    const { returnTo, label } = body as { returnTo?: string; label?: string }
    const { authorizationUrl, nonce } = await oauthFlow.begin({
      userId: userOf(request),
      provider,
      redirectUri: places.redirectUri(provider.id).href,
      returnTo: places.returnTo(returnTo),
      label: parseLabel(label)
    })
    const cookie = nonceCookie(nonce, places.redirectUri(provider.id), isFromOtherSite(request, sites))
    reply.header('set-cookie', stringifySetCookie(cookie))
    return { authorizationUrl }
  }

  async function beginLogin(provider: ProviderDefinition, request: FastifyRequest, reply: FastifyReply) {
    checkLogin(request.body)
    const { baseUrl, label } = request.body as { baseUrl: string; label?: string }
    const userId = userOf(request)
    return await loginFlow.begin({
      userId,
      provider,
      baseUrl,
      label: parseLabel(label),
      signal: clientSignal(reply)
    })
  }

  app.post<{ Params: { provider: string } }>(
    '/connections/:provider/authorize',
    { schema: describe('authorize'), validatorCompiler: unchecked, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const provider = await loadProvider(request.params.provider)
      const begun = isOAuthProvider(provider)
        ? await beginOAuth(provider, request, reply)
        : await beginLogin(provider, request, reply)
      return reply.header('cache-control', 'no-store').send(begun)
    }
  )

  app.post<{ Params: { provider: string; flowId: string } }>(
    '/connections/:provider/authorize/:flowId/poll',
    { schema: describe('pollLogin'), bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { provider, flowId } = request.params
      const connection = await loginFlow.poll({
        userId: userOf(request),
        provider: await loadProvider(provider),
        flowId,
        signal: clientSignal(reply)
      })
      reply.header('cache-control', 'no-store')
      if (connection === null) return reply.code(202).header('retry-after', POLL_AFTER).send({ status: 'pending' })
      return reply.code(201).send(viewOf(connection))
    }
  )
}
