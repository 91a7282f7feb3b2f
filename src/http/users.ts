import type { FastifyInstance, FastifyRequest } from 'fastify'

/** A symbol, so it cannot clash with the host's decorators. */
const USER = Symbol('fastify-cloud-storage.user')

/** Adds the user, as returned by `authenticate`, to the requests of this scope. */
export function decorateWithUser(scope: FastifyInstance): void {
  scope.decorateRequest(USER, null)
}

export function setUser(request: FastifyRequest, userId: string): void {
  ;(request as { [USER]?: string | null })[USER] = userId
}

/** Returns the user of an authenticated request. */
export function userOf(request: FastifyRequest): string {
  const userId = (request as { [USER]?: string | null })[USER]
  if (typeof userId !== 'string') throw new TypeError('This request was not authenticated')
  return userId
}
