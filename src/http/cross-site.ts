import type { FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Refuses to change anything on behalf of another site's page: a host may authenticate by cookie, and a browser sends
 * those along. What is not a browser sends neither header and passes.
 *
 * @param publicHost where browsers reach this service, if a proxy gives it another `Host`
 * @throws StorageError `CROSS_SITE`
 */
export function refuseCrossSite(request: FastifyRequest, publicHost: string | undefined): void {
  if (SAFE_METHODS.has(request.method)) return
  const { origin } = request.headers
  const foreign = origin !== undefined && !isOwn(origin, [request.host, publicHost])
  if (foreign || request.headers['sec-fetch-site'] === 'cross-site') {
    throw new StorageError('CROSS_SITE', 'This request comes from a page of another site.')
  }
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
