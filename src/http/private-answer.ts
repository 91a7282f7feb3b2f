import '@fastify/sensible'
import type { FastifyReply } from 'fastify'

const VARY = 'Authorization, Cookie'
/** Of an answer that may be compressed. */
export const VARY_CODED = `${VARY}, Accept-Encoding`

/** Adds a header name to `Vary`, which other plugins set too. */
export function addVary(reply: FastifyReply, name: string): FastifyReply {
  const vary = reply.getHeader('vary')
  return reply.header('vary', vary === undefined ? name : `${String(vary)}, ${name}`)
}

/**
 * An answer for one user: caches ask again each time, and never give it to another. `Vary` is added to.
 *
 * @param vary by what it differs
 */
export function privateAnswer(reply: FastifyReply, vary = VARY): FastifyReply {
  reply.header('cache-control', 'private, no-cache')
  // Nearly always nobody has named anything yet, and there is nothing to be parsed.
  if (reply.getHeader('vary') === undefined) reply.header('vary', vary)
  else reply.vary(vary)
  return reply
}
