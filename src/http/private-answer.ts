import '@fastify/sensible'
import type { FastifyReply } from 'fastify'

const VARY = 'Authorization, Cookie'
/** `Vary` of a response that may be compressed. */
export const VARY_CODED = `${VARY}, Accept-Encoding`

/** Adds a header name to `Vary`, which other plugins set too. */
export function addVary(reply: FastifyReply, name: string): FastifyReply {
  const vary = reply.getHeader('vary')
  return reply.header('vary', vary === undefined ? name : `${String(vary)}, ${name}`)
}

/**
 * Marks a response as private to one user: no shared cache stores it, and browsers revalidate it. Adds to `Vary`.
 *
 * @param vary the request headers that select the response
 */
export function privateAnswer(reply: FastifyReply, vary = VARY): FastifyReply {
  reply.header('cache-control', 'private, no-cache')
  // `Vary` is nearly always unset. Then nothing needs to be parsed.
  if (reply.getHeader('vary') === undefined) reply.header('vary', vary)
  else reply.vary(vary)
  return reply
}
