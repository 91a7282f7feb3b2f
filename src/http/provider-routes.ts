import type { FastifyInstance } from 'fastify'
import type { ProviderDefinition } from '../domain/provider.ts'
import type { Describe } from './described.ts'
import { privateAnswer } from './private-answer.ts'

export interface ProviderRouteDeps {
  readonly loadProviders: () => Promise<ProviderDefinition[]>
}

export function providerRoutes(app: FastifyInstance, { loadProviders }: ProviderRouteDeps, describe: Describe): void {
  app.get('/providers', { schema: describe('listProviders'), exposeHeadRoute: true }, async (_request, reply) => {
    const providers = await loadProviders()
    privateAnswer(reply)
    return { providers: providers.map(view) }
  })
}

function view({ id, label, connect, capabilities }: ProviderDefinition): object {
  const how = connect.type === 'oauth2' ? { type: connect.type } : { type: connect.type, schema: connect.schema }
  return { id, label, connect: how, capabilities }
}
