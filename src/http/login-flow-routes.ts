import type { FastifyInstance } from 'fastify'
import type { LoginFlow } from '../connections/login-flow.ts'
import type { ProviderDefinition } from '../domain/provider.ts'
import { clientSignal } from './client-signal.ts'
import { parseLabel, viewOf } from './connection-view.ts'
import { loginFlowSchema } from './schemas.ts'
import { userOf } from './users.ts'
import type { compileBody } from './validation.ts'

export interface LoginFlowRouteDeps {
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly loginFlow: LoginFlow
}

const BODY_LIMIT = 16 * 1024
/** How often the service likes to be asked, in seconds. */
const POLL_AFTER = '2'

export function loginFlowRoutes(app: FastifyInstance, deps: LoginFlowRouteDeps, compile: typeof compileBody): void {
  const { loadProvider, loginFlow } = deps
  const check = compile(loginFlowSchema)

  app.post<{ Params: { provider: string } }>(
    '/connections/:provider/authorize',
    { bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const provider = await loadProvider(request.params.provider)
      check(request.body)
      const { baseUrl, label } = request.body as { baseUrl: string; label?: string }
      const signal = clientSignal(reply)
      const begun = await loginFlow.begin({
        userId: userOf(request),
        provider,
        baseUrl,
        label: parseLabel(label),
        signal
      })
      return reply.header('cache-control', 'no-store').send(begun)
    }
  )

  app.post<{ Params: { provider: string; flowId: string } }>(
    '/connections/:provider/authorize/:flowId/poll',
    { bodyLimit: BODY_LIMIT },
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
