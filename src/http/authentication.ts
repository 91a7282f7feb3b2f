import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import { StorageError } from '../errors.ts'

/** Authenticates requests and rejects cross-site changes; synchronously, unless `authenticate` returns a promise. */
export function authenticationHook(authenticate: Authenticate, sites: TrustedSites): onRequestHookHandler {
  return (request, _reply, done) => {
    let user: string | Promise<string>
    try {
      user = identify(authenticate, request)
      if (typeof user === 'string') {
        setUser(request, user)
        rejectCrossSite(request, sites)
      }
    } catch (error) {
      done(error as Error)
      return
    }
    if (typeof user === 'string') {
      done()
      return
    }
    user
      .then((userId) => {
        setUser(request, userId)
        rejectCrossSite(request, sites)
      })
      .then(() => {
        done()
      }, done)
  }
}

/** The host's function that returns the user id of a request, or an empty value if the user is unknown. */
export type Authenticate = (request: FastifyRequest) => unknown

interface ThrownError {
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
    if (isThenable(user)) return identifyAsync(user)
  } catch (error) {
    throw toAuthenticationError(error)
  }
  return requireUserId(user)
}

async function identifyAsync(promise: PromiseLike<unknown>): Promise<string> {
  let user: unknown
  try {
    user = await promise
  } catch (error) {
    throw toAuthenticationError(error)
  }
  return requireUserId(user)
}

/** Returns whether `await` would wait for the value. Some query builders are functions with a `then`. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

function requireUserId(user: unknown): string {
  if (user === undefined || user === null || user === '') throw toAuthenticationError(undefined)
  if (typeof user !== 'string') {
    throw new StorageError('INTERNAL', `authenticate must return a string, not ${typeof user}`)
  }
  return user
}

function toAuthenticationError(error: unknown): StorageError {
  const thrown = (typeof error === 'object' && error !== null ? error : {}) as ThrownError
  const status = thrown.statusCode ?? thrown.status
  if (typeof status === 'number' && status >= 500) {
    return new StorageError('AUTHENTICATION_UNAVAILABLE', undefined, { cause: error })
  }
  const scheme = thrown.headers?.['www-authenticate']
  const headers = typeof scheme === 'string' ? { 'www-authenticate': scheme } : {}
  return new StorageError('UNAUTHENTICATED', undefined, { headers, cause: error })
}

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

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const BEARER = /^bearer /i

/** The sites with pages that may send changes. */
export interface TrustedSites {
  /** The host at which browsers reach this service, if a proxy sends another `Host`. */
  readonly publicHost: string | undefined
  /** The origins of other front ends, in the form of the `Origin` header: `https://app.example.org`. */
  readonly allowedOrigins: ReadonlySet<string>
}

/**
 * Rejects changes that another site's page requests: a host may authenticate by cookies, which browsers attach to
 * such requests. Other clients send neither `Origin` nor `Sec-Fetch-Site`, and pass.
 */
export function rejectCrossSite(request: FastifyRequest, sites: TrustedSites): void {
  if (SAFE_METHODS.has(request.method) || hasOnlyBearerToken(request)) return
  const { origin } = request.headers
  if (origin !== undefined && sites.allowedOrigins.has(origin)) return
  if (isCrossOrigin(request, sites) || request.headers['sec-fetch-site'] === 'cross-site') {
    throw new StorageError('CROSS_SITE')
  }
}

/**
 * Returns whether browsers treat the response's cookies as third-party: they store only those with `SameSite=None`.
 */
export function isCrossSite(request: FastifyRequest, sites: TrustedSites): boolean {
  const site = request.headers['sec-fetch-site']
  // Older browsers do not send it. Then origins are compared, since sites cannot be determined.
  return site === undefined ? isCrossOrigin(request, sites) : site === 'cross-site'
}

/**
 * Returns whether a bearer token is the request's only credential. Browsers attach cookies, Basic credentials and
 * client certificates by themselves, but never a bearer token: the page that sent the request has it.
 */
function hasOnlyBearerToken({ headers }: FastifyRequest): boolean {
  return BEARER.test(headers.authorization ?? '') && headers.cookie === undefined
}

function isCrossOrigin({ headers: { origin }, host }: FastifyRequest, { publicHost }: TrustedSites): boolean {
  return origin !== undefined && !isOwnOrigin(origin, [host, publicHost])
}

function isOwnOrigin(origin: string, hosts: readonly (string | undefined)[]): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host } = new URL(origin)
  return host !== '' && hosts.some((own) => own !== undefined && normaliseHost(protocol, own) === host)
}

/** Returns a `Host` in the form of an origin with that scheme: in lower case, without the scheme's default port. */
function normaliseHost(protocol: string, host: string): string | undefined {
  const url = `${protocol}//${host}`
  return URL.canParse(url) ? new URL(url).host : undefined
}
