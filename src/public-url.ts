const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

/**
 * The origin of a front end, exactly as browsers write it in `Origin`.
 *
 * @throws Error that says what it must be
 */
export function parseOrigin(given: unknown): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null
  if (url === null || url.origin !== given || url.hostname.includes('*')) {
    throw new Error('must be an origin, like https://app.example.org: no path, no default port, no wildcard')
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))) return url.origin
  throw new Error('must begin with https://, except on this machine itself')
}

/**
 * Where browsers reach the application.
 *
 * @param isOAuth codes come back to it, which nobody on the way may read
 * @throws Error that says what it must be
 */
export function parsePublicUrl(given: unknown, isOAuth: boolean): URL {
  if (typeof given !== 'string' || !URL.canParse(given))
    throw new Error('must be a URL, like https://files.example.org')
  const url = new URL(given)
  const { protocol, hostname, pathname, username, password, search, hash } = url
  if (protocol !== 'https:' && protocol !== 'http:') throw new Error('must begin with https:// or http://')
  if (username + password + search + hash !== '') throw new Error('must be no more than a place')
  // It becomes the path of a cookie, which has no way to write anything else.
  if (!/^[\w.~/-]*$/.test(pathname)) throw new Error('must have a path of letters, digits, "-", "." and "_"')
  if (isOAuth && protocol !== 'https:' && !LOOPBACK.test(hostname)) {
    throw new Error('must begin with https:// with an OAuth provider, except on this machine itself')
  }
  return url
}
