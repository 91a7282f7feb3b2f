import type { FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const BEARER = /^bearer /i

/** Whose pages may change something. */
export interface TrustedSites {
  /** Where browsers reach this service, if a proxy gives it another `Host`. */
  readonly publicHost: string | undefined
  /** Front ends on other origins, as browsers write an origin: `https://app.example.org`. */
  readonly allowedOrigins: ReadonlySet<string>
}

/**
 * Refuses to change anything on behalf of another site's page: a host may authenticate by cookie, and a browser sends
 * those along. What is not a browser sends neither header and passes.
 *
 * @throws StorageError `CROSS_SITE`
 */
export function refuseCrossSite(request: FastifyRequest, sites: TrustedSites): void {
  if (SAFE_METHODS.has(request.method) || hasBearerAlone(request)) return
  const { origin } = request.headers
  if (origin !== undefined && sites.allowedOrigins.has(origin)) return
  if (isOtherOrigin(request, sites) || request.headers['sec-fetch-site'] === 'cross-site') {
    throw new StorageError('CROSS_SITE', 'This request comes from a page of another site.')
  }
}

/** Whether a browser treats the cookies of the response as those of a third party: it stores only `SameSite=None`. */
export function isFromOtherSite(request: FastifyRequest, sites: TrustedSites): boolean {
  const site = request.headers['sec-fetch-site']
  // Older browsers do not send it. Sites cannot be told apart from origins then.
  return site === undefined ? isOtherOrigin(request, sites) : site === 'cross-site'
}

/**
 * Whether the request proves its user by a bearer token and nothing else. Browsers attach cookies, Basic credentials and
 * client certificates by themselves, but never a bearer token: the page that sent it has it.
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

/** A `Host` as an origin of that scheme has it: in lower case, without the scheme's default port. */
function normalised(protocol: string, host: string): string | undefined {
  const url = `${protocol}//${host}`
  return URL.canParse(url) ? new URL(url).host : undefined
}
