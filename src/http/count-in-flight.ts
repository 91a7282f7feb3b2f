import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { InFlightLimit, Slot } from '../domain/user-limits.ts'
import { onceClosed } from './client-signal.ts'
import { userOf } from './users.ts'

/**
 * Counts the requests of a scope against the limit per user, from before the body is read until the response has
 * closed and the handler has settled. Register it after authentication and before the routes.
 */
export function countInFlight(scope: FastifyInstance, limit: InFlightLimit): void {
  const slots = new WeakMap<FastifyRequest, Slot>()

  scope.addHook('onRequest', (request, reply, done) => {
    try {
      slots.set(request, enterFor(reply, limit, userOf(request)))
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  })

  scope.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = async function (request, reply) {
      const release = slots.get(request)?.hold()
      try {
        const answer: unknown = await handler.call(this, request, reply)
        return answer
      } finally {
        release?.()
      }
    }
  })
}

/** Returns a slot that the response holds until it has closed. @throws StorageError `TOO_MANY_REQUESTS` */
export function enterFor(reply: FastifyReply, limit: InFlightLimit, userId: string): Slot {
  const slot = limit.enter(userId)
  onceClosed(reply, slot.hold())
  return slot
}
