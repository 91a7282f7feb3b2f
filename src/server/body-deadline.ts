import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'

/**
 * Cuts connections whose request has not arrived within `ms`, but for uploads, which may take as long as they go on.
 * Node's own limit for that knows of no routes.
 */
export function limitBodies(app: FastifyInstance, ms: number): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { raw, headers } = request
    const hasBody = 'content-length' in headers || 'transfer-encoding' in headers
    if (hasBody && request.routeOptions.config.streamsBody !== true) limit(raw, ms)
    done()
  })
}

function limit(raw: IncomingMessage, ms: number): void {
  const timer = setTimeout(() => {
    // Which takes its connection along, where it has one: a demo asks its own application without any.
    if (!raw.complete) raw.destroy()
  }, ms).unref()
  // Where it was answered before it had all come, the rest is still to come, and is waited for.
  raw.once('close', () => {
    if (raw.complete) clearTimeout(timer)
  })
}
