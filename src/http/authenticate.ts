import type { FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { type HttpStorageError, withStatus } from './status.ts'

/** The host's function that returns the user id of a request, or an empty value if the user is unknown. */
export type Authenticate = (request: FastifyRequest) => unknown

interface Thrown {
  readonly statusCode?: unknown
  readonly status?: unknown
  readonly headers?: { readonly 'www-authenticate'?: unknown }
}

/**
 * Authenticates a request with the host's function.
 *
 * @returns the user's id, never empty; a promise if the host returns one
 * @throws StorageError `UNAUTHENTICATED` if there is no user, or if the host throws an error without a status of 500
 * or more; `AUTHENTICATION_UNAVAILABLE` if it throws one with such a status; `INTERNAL` if the id is no string: two
 * objects would both be `[object Object]` in a key
 */
export function identify(authenticate: Authenticate, request: FastifyRequest): string | Promise<string> {
  let user: unknown
  try {
    user = authenticate(request)
    // Inside the `try`, as with `await`: reading `then` may throw too.
    if (isThenable(user)) return identifyLater(user)
  } catch (error) {
    throw refuse(error)
  }
  return userId(user)
}

async function identifyLater(answer: PromiseLike<unknown>): Promise<string> {
  let user: unknown
  try {
    user = await answer
  } catch (error) {
    throw refuse(error)
  }
  return userId(user)
}

/** Returns whether `await` would wait for the value. Some query builders are functions with a `then`. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

function userId(user: unknown): string {
  if (user === undefined || user === null || user === '') throw refuse(undefined)
  if (typeof user !== 'string') {
    throw withStatus(new StorageError('INTERNAL', `authenticate must return a string, not ${typeof user}`))
  }
  return user
}

function refuse(error: unknown): HttpStorageError {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as Thrown
  const status = thrown.statusCode ?? thrown.status
  if (typeof status === 'number' && status >= 500) {
    return withStatus(
      new StorageError('AUTHENTICATION_UNAVAILABLE', 'Authentication is temporarily unavailable.', { cause: error })
    )
  }
  const refusal = withStatus(new StorageError('UNAUTHENTICATED', 'Sign in first.', { cause: error }))
  const scheme = thrown.headers?.['www-authenticate']
  if (typeof scheme === 'string') refusal.headers = { 'www-authenticate': scheme }
  return refusal
}
