import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'

/**
 * Closes a connection if its request has not arrived within `ms`. Uploads may take longer, as long as they make
 * progress. Node's own limit for this cannot distinguish routes.
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
    // Closes the connection too, if there is one: the demo sends requests to its own application without any.
    if (!raw.complete) raw.destroy()
  }, ms).unref()
  // The deadline stays if the response was sent before the body was complete: the rest is still received.
  raw.once('close', () => {
    if (raw.complete) clearTimeout(timer)
  })
}
