import type { HttpRequest } from '../core/egress.ts'
import { Diagnosis, providerFailure, StorageError } from '../errors.ts'
import { describeExchange } from './errors.ts'

const MAX_REDIRECTS = 3
/** Methods that only read, so that a redirect can be followed. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND'])
/** The only headers sent to another host. None can be a credential, for which providers have names of their own. */
const CROSS_ORIGIN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'depth',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'user-agent'
])
const HTTP = /^https?:$/

/**
 * Returns the changes for following a redirect.
 *
 * @throws StorageError `SCHEME_MISMATCH` for a redirect from https to http of the same host, or vice versa;
 * `PROVIDER_ERROR` for any other that is not followed
 */
export function redirectRequest(request: HttpRequest, location: string, redirects: number): Partial<HttpRequest> {
  const { method, url: from, headers = {}, body, redirectHosts = [] } = request
  if (URL.canParse(location, from.href) && isOtherScheme(from, new URL(location, from))) {
    const cause = new Diagnosis(`${describeExchange(method, from)} was redirected to another scheme`)
    throw providerFailure('SCHEME_MISMATCH', { cause, responded: true })
  }
  const redirectError = (reason: string): StorageError =>
    new StorageError('PROVIDER_ERROR', 'The provider sent a redirect that is not allowed.', {
      cause: new Diagnosis(`${describeExchange(method, from)} was redirected ${reason}`)
    }).about({ host: from.host })
  if (redirects === MAX_REDIRECTS) throw redirectError('too often')
  if (!SAFE_METHODS.has(method)) throw redirectError('although it is a write request')
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body))
    throw redirectError('after its body was sent')
  if (!URL.canParse(location, from.href)) throw redirectError('to an invalid URL')
  const url = new URL(location, from)
  if (url.username !== '' || url.password !== '') throw redirectError('to a URL with a user name')
  if (isSameOrigin(from, url)) return { url }
  if (!isAtDeclaredHost(url, redirectHosts))
    throw redirectError(`to ${HTTP.test(url.protocol) ? url.origin : 'a URL that is not HTTP'}`)
  return {
    url,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => CROSS_ORIGIN_HEADERS.has(name)))
  }
}

/** Returns true if both have the same scheme, host and port. */
export function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin && a.origin !== 'null'
}

/** Returns true for http and https at the same host. Proxies that do not forward the scheme cause such URLs. */
export function isOtherScheme(a: URL, b: URL): boolean {
  const isHttp = (url: URL): boolean => url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp(a) && isHttp(b) && a.hostname === b.hostname && a.protocol !== b.protocol
}

/**
 * Returns true if an external URL stays at the hosts that a provider declares: https, the default port, and a host
 * that is listed (`content.example.org`) or is below a listed one (`*.example.org`).
 */
export function isAtDeclaredHost(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') return false
  return hosts.some((host) => (host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host))
}
