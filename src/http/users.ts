import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Not a name: a host's own decorators are never met. */
const USER = Symbol('fastify-cloud-storage.user')

/** Who sent each request of this scope, as `authenticate` said. */
export function decorateWithUser(scope: FastifyInstance): void {
  scope.decorateRequest(USER, null)
}

export function setUser(request: FastifyRequest, userId: string): void {
  ;(request as { [USER]?: string | null })[USER] = userId
}

/** The user of a request that has passed authentication. */
export function userOf(request: FastifyRequest): string {
  const userId = (request as { [USER]?: string | null })[USER]
  if (typeof userId !== 'string') throw new TypeError('This request was not authenticated')
  return userId
}
