import { stringifySetCookie } from 'cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { LoginFlow } from '../connections/login-flow.ts'
import type { OAuthFlow } from '../connections/oauth-flow.ts'
import type { PreparedOAuthProvider, PreparedTypedProvider, ProviderCatalog } from '../connections/provider-catalog.ts'
import { clientSignal } from './in-flight.ts'
import { isCrossSite, type TrustedSites, userOf } from './authentication.ts'
import { parseLabel, toPublicConnection } from './connection-routes.ts'
import { type DescribeRoute, skipValidation } from './openapi/describe.ts'
import { nonceCookie, type PublicUrls } from './callback-route.ts'
import { loginFlowSchema, oauthFlowSchema } from './schemas.ts'
import type { compileBody } from './validation.ts'

export interface AuthorizeRouteDeps {
  readonly providers: ProviderCatalog
  readonly loginFlow: LoginFlow
  readonly oauthFlow: OAuthFlow
}

interface AuthorizeRouteContext {
  readonly urls: PublicUrls
  readonly sites: TrustedSites
}

const BODY_LIMIT = 16 * 1024
/** The polling interval for clients, in seconds. */
const POLL_INTERVAL_SECONDS = '2'

/** Registers the routes that connect through the provider's own pages. */
export function authorizeRoutes(
  app: FastifyInstance,
  { providers, loginFlow, oauthFlow, urls, sites }: AuthorizeRouteDeps & AuthorizeRouteContext,
  describe: DescribeRoute,
  compile: typeof compileBody
): void {
  const checkLogin = compile(loginFlowSchema)
  const checkOAuth = compile(oauthFlowSchema)

  async function beginOAuth(prepared: PreparedOAuthProvider, request: FastifyRequest, reply: FastifyReply) {
    const body = request.body ?? {}
    checkOAuth(body)
    const { returnTo, label } = body as { returnTo?: string; label?: string }
    const redirectUri = urls.redirectUri(prepared.provider.id)
    const { authorizationUrl, nonce } = await oauthFlow.begin({
      userId: userOf(request),
      prepared,
      redirectUri: redirectUri.href,
      returnTo: urls.returnTo(returnTo),
      label: parseLabel(label)
    })
    const cookie = nonceCookie(nonce, redirectUri, isCrossSite(request, sites))
    reply.header('set-cookie', stringifySetCookie(cookie))
    return { authorizationUrl }
  }

  async function beginLogin(prepared: PreparedTypedProvider, request: FastifyRequest, reply: FastifyReply) {
    checkLogin(request.body)
    const { baseUrl, label } = request.body as { baseUrl: string; label?: string }
    const userId = userOf(request)
    return await loginFlow.begin({
      userId,
      prepared,
      baseUrl,
      label: parseLabel(label),
      signal: clientSignal(reply)
    })
  }

  app.post<{ Params: { provider: string } }>(
    '/connections/:provider/authorize',
    { schema: describe('authorize'), validatorCompiler: skipValidation, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const prepared = await providers.prepare(request.params.provider)
      const started =
        prepared.client === null
          ? await beginLogin(prepared, request, reply)
          : await beginOAuth(prepared, request, reply)
      return reply.header('cache-control', 'no-store').send(started)
    }
  )

  app.post<{ Params: { provider: string; flowId: string } }>(
    '/connections/:provider/authorize/:flowId/poll',
    { schema: describe('pollLogin'), bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { provider, flowId } = request.params
      const connection = await loginFlow.poll({
        userId: userOf(request),
        prepared: await providers.prepare(provider),
        flowId,
        signal: clientSignal(reply)
      })
      reply.header('cache-control', 'no-store')
      if (connection === null)
        return reply.code(202).header('retry-after', POLL_INTERVAL_SECONDS).send({ status: 'pending' })
      return reply.code(201).send(toPublicConnection(connection))
    }
  )
}
