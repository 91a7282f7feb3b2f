import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { InFlightLimit, Slot } from '../domain/user-limits.ts'
import { onceClosed } from './client-signal.ts'
import { userOf } from './users.ts'

/**
 * Counts every request of a scope against its user's limit, from before its body is read until its response has closed
 * and its handler has settled. Register it before the routes, behind authentication.
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

/** A slot that the response holds until it has closed. @throws StorageError `TOO_MANY_REQUESTS` */
export function enterFor(reply: FastifyReply, limit: InFlightLimit, userId: string): Slot {
  const slot = limit.enter(userId)
  onceClosed(reply, slot.hold())
  return slot
}
