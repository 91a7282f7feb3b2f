import type { FastifyInstance } from 'fastify'
import type { Connect } from '../connections/connect.ts'
import type { Disconnect } from '../connections/disconnect.ts'
import type { Connection } from '../domain/connection.ts'
import type { ProviderDefinition } from '../domain/provider.ts'
import { clientSignal } from './client-signal.ts'
import { parseLabel, viewOf } from './connection-view.ts'
import { privateAnswer } from './private-answer.ts'
import { labelSchema } from './schemas.ts'
import { userOf } from './users.ts'
import type { compileBody } from './validation.ts'

export interface ConnectionRouteDeps {
  readonly listConnections: (userId: string) => Promise<Connection[]>
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly connect: Connect
  readonly disconnect: Disconnect
}

/** Credentials are a handful of short texts. */
const BODY_LIMIT = 64 * 1024

export function connectionRoutes(app: FastifyInstance, deps: ConnectionRouteDeps, compile: typeof compileBody): void {
  const { listConnections, loadProvider, connect, disconnect } = deps
  const checks = new Map<string, (body: unknown) => void>()

  app.get('/connections', { exposeHeadRoute: true }, async (request, reply) => {
    const connections = await listConnections(userOf(request))
    privateAnswer(reply)
    return { connections: connections.map(viewOf) }
  })

  app.post<{ Params: { provider: string } }>(
    '/connections/:provider',
    { bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const provider = await loadProvider(request.params.provider)
      let check = checks.get(provider.id)
      if (check === undefined) {
        const { properties } = provider.connect.schema
        check = compile({ ...provider.connect.schema, properties: { label: labelSchema, ...properties } })
        checks.set(provider.id, check)
      }
      check(request.body)
      const { label, ...fields } = request.body as Record<string, unknown> & { label?: string }
      const connection = await connect({
        userId: userOf(request),
        provider,
        fields,
        label: parseLabel(label),
        signal: clientSignal(reply)
      })
      return reply.code(201).header('cache-control', 'no-store').send(viewOf(connection))
    }
  )

  app.delete<{ Params: { id: string } }>('/connections/:id', async (request, reply) => {
    await disconnect.one(userOf(request), request.params.id)
    return reply.code(204).send()
  })

  app.delete('/connections', async (request, reply) => {
    await disconnect.all(userOf(request))
    return reply.code(204).send()
  })
}
