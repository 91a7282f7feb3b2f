import type { FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { type HttpStorageError, withStatus } from './status.ts'

/** The host's answer to who is asking: the user's id, or nobody. */
export type Authenticate = (request: FastifyRequest) => unknown

interface Thrown {
  readonly statusCode?: unknown
  readonly status?: unknown
  readonly headers?: { readonly 'www-authenticate'?: unknown }
}

/**
 * Asks the host who is asking.
 *
 * @returns the user's id, never empty; a promise where the host gives one
 * @throws StorageError `UNAUTHENTICATED` for nobody, or for a throw without a status of 500 and more;
 * `AUTHENTICATION_UNAVAILABLE` for a throw with one; `INTERNAL` for anything that is not a string: two objects would
 * both be `[object Object]` in a key
 */
export function identify(authenticate: Authenticate, request: FastifyRequest): string | Promise<string> {
  let user: unknown
  try {
    user = authenticate(request)
    // Here, as `await` would: to look may throw too.
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

/** Whatever `await` waits for: some query builders are functions. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

function userId(user: unknown): string {
  if (user === undefined || user === null || user === '') throw refuse(undefined)
  if (typeof user !== 'string') {
    throw withStatus(new StorageError('INTERNAL', `authenticate must give a string, not ${typeof user}`))
  }
  return user
}

function refuse(error: unknown): HttpStorageError {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as Thrown
  const status = thrown.statusCode ?? thrown.status
  if (typeof status === 'number' && status >= 500) {
    return withStatus(
      new StorageError('AUTHENTICATION_UNAVAILABLE', 'It cannot be found out who is asking.', { cause: error })
    )
  }
  const refusal = withStatus(new StorageError('UNAUTHENTICATED', 'Sign in first.', { cause: error }))
  const scheme = thrown.headers?.['www-authenticate']
  if (typeof scheme === 'string') refusal.headers = { 'www-authenticate': scheme }
  return refusal
}
