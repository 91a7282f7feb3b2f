const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

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
