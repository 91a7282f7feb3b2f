import '@fastify/sensible'
import type { FastifyReply } from 'fastify'

const VARY = 'Authorization, Cookie'

/**
 * An answer for one user: caches ask again each time, and never give it to another. `Vary` is added to.
 *
 * @param varies by what else it differs
 */
export function privateAnswer(reply: FastifyReply, varies?: string): FastifyReply {
  reply.header('cache-control', 'private, no-cache')
  const vary = varies === undefined ? VARY : `${VARY}, ${varies}`
  // Nearly always nobody has named anything yet, and there is nothing to be parsed.
  if (reply.getHeader('vary') === undefined) reply.header('vary', vary)
  else reply.vary(vary)
  return reply
}
