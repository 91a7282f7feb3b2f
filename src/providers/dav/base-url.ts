import { isSegment } from '../shared/object-path.ts'

export const MAX_BASE_URL_LENGTH = 1024

/** Normalises the URL of a server, which then ends with `/`. Returns `null` if it is invalid. */
export function readBaseUrl(value: unknown): URL | null {
  if (typeof value !== 'string' || value.length > MAX_BASE_URL_LENGTH || !URL.canParse(value)) return null
  const url = new URL(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null
  // `href` contains a lone `?` or `#`, which `search` and `hash` omit.
  if (url.href !== url.origin + url.pathname) return null
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  if (url.pathname === '/') return url
  const segments = url.pathname.slice(1, -1).split('/').map(decode)
  if (!segments.every((segment) => segment !== null && isSegment(segment))) return null
  // `%7Euser` and `~user` are the same folder, and must be the same account.
  url.pathname = `/${segments.map((segment) => encodeURIComponent(segment ?? '')).join('/')}/`
  return url
}

function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return null
  }
}
