import { isAtDeclaredHost } from '../../infra/net/host-pin.ts'
import { failure } from './http-failure.ts'

/**
 * Validates a URL from a response: it must lead to an origin or host that the provider uses.
 *
 * @param places origins (`https://upload.example.org`), and hosts over https (`content.example.org`, `*.example.org`)
 * @param what describes the URL, for the log
 * @throws StorageError `PROVIDER_ERROR`
 */
export function pinnedUrl(value: unknown, places: readonly string[], what: string): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null) throw failure('PROVIDER_ERROR', `${what} is not a valid URL`)
  const isPlain = url.username === '' && url.password === ''
  if (isPlain && (places.includes(url.origin) || isAtDeclaredHost(url, places))) return url
  throw failure('PROVIDER_ERROR', `${what} points to ${url.origin}, which the provider does not use`)
}
