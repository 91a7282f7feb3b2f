import Fastify, { type FastifyInstance } from 'fastify'
import { collectDefaultMetrics, Registry } from 'prom-client'

/** Where the plugin counts, with what Node tells of itself. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** `GET /metrics` at a port of its own: whoever may use the service need not see how it is doing. */
export function buildMetricsServer(registry: Registry): FastifyInstance {
  const server = Fastify()
  server.get('/metrics', async (_request, reply) => {
    reply.type(registry.contentType).header('cache-control', 'no-store')
    return await registry.metrics()
  })
  return server
}
