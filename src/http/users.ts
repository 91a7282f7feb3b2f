import type { FastifyRequest } from 'fastify'

/** Who sent each request, as `authenticate` said. Kept beside the request: a host's own decorators are never met. */
const users = new WeakMap<FastifyRequest, string>()

export function setUser(request: FastifyRequest, userId: string): void {
  users.set(request, userId)
}

/** The user of a request that has passed authentication. */
export function userOf(request: FastifyRequest): string {
  const userId = users.get(request)
  if (userId === undefined) throw new TypeError('This request was not authenticated')
  return userId
}
