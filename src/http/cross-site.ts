import type { FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'

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
export function refuseCrossSite(request: FastifyRequest, sites: TrustedSites): void {
  if (SAFE_METHODS.has(request.method) || hasBearerAlone(request)) return
  const { origin } = request.headers
  if (origin !== undefined && sites.allowedOrigins.has(origin)) return
  if (isOtherOrigin(request, sites) || request.headers['sec-fetch-site'] === 'cross-site') {
    throw new StorageError('CROSS_SITE', 'Requests from pages of other sites are not allowed.')
  }
}

/**
 * Returns whether browsers treat the response's cookies as third-party: they store only those with `SameSite=None`.
 */
export function isFromOtherSite(request: FastifyRequest, sites: TrustedSites): boolean {
  const site = request.headers['sec-fetch-site']
  // Older browsers do not send it. Then origins are compared, since sites cannot be determined.
  return site === undefined ? isOtherOrigin(request, sites) : site === 'cross-site'
}

/**
 * Returns whether a bearer token is the request's only credential. Browsers attach cookies, Basic credentials and
 * client certificates by themselves, but never a bearer token: the page that sent the request has it.
 */
function hasBearerAlone({ headers }: FastifyRequest): boolean {
  return BEARER.test(headers.authorization ?? '') && headers.cookie === undefined
}

function isOtherOrigin({ headers: { origin }, host }: FastifyRequest, { publicHost }: TrustedSites): boolean {
  return origin !== undefined && !isOwn(origin, [host, publicHost])
}

function isOwn(origin: string, hosts: readonly (string | undefined)[]): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host } = new URL(origin)
  return host !== '' && hosts.some((own) => own !== undefined && normalised(protocol, own) === host)
}

/** Returns a `Host` in the form of an origin with that scheme: in lower case, without the scheme's default port. */
function normalised(protocol: string, host: string): string | undefined {
  const url = `${protocol}//${host}`
  return URL.canParse(url) ? new URL(url).host : undefined
}
