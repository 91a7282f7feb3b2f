import '@fastify/sensible'
import type { FastifyReply } from 'fastify'

/** An answer for one user: caches ask again each time, and never give it to another. `Vary` is added to. */
export function privateAnswer(reply: FastifyReply): FastifyReply {
  reply.header('cache-control', 'private, no-cache').vary(['Authorization', 'Cookie'])
  return reply
}
