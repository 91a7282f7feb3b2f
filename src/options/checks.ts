/** Checks of options. Each throws a TypeError that starts with the name of the option. */

export function optionError(name: string, problem: string, options?: ErrorOptions): TypeError {
  return new TypeError(`fastify-cloud-storage: option ${name}: ${problem}`, options)
}

export function assertOption(condition: boolean, name: string, problem: string): asserts condition {
  if (!condition) throw optionError(name, problem)
}

export function requireObject(name: string, value: unknown): Record<string, unknown> {
  assertOption(typeof value === 'object' && value !== null && !Array.isArray(value), name, 'must be an object')
  return value as Record<string, unknown>
}

/** Rejects unknown names: a misspelt limit would silently keep its default. */
export function rejectUnknownKeys(name: string, value: Record<string, unknown>, names: readonly string[]): void {
  for (const key of Object.keys(value)) {
    assertOption(names.includes(key), name === '' ? key : `${name}.${key}`, 'is not a known option')
  }
}

export function requirePositiveInteger(name: string, value: unknown): void {
  assertOption(Number.isSafeInteger(value) && (value as number) > 0, name, 'must be a positive integer')
}

export function requireString(name: string, value: unknown): asserts value is string {
  assertOption(typeof value === 'string' && value !== '', name, 'must be a non-empty string')
}

/** Checks optional positive integers, and adds the defaults. */
export function readNumbers<T extends object>(name: string, given: Partial<T> | undefined, defaults: T): T {
  const values = requireObject(name, given ?? {})
  rejectUnknownKeys(name, values, Object.keys(defaults))
  for (const [key, value] of Object.entries(values)) requirePositiveInteger(`${name}.${key}`, value)
  return { ...defaults, ...values }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

/**
 * Parses the origin of a front end, exactly as browsers write it in `Origin`.
 *
 * @throws Error that describes valid values
 */
export function parseOrigin(given: unknown): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null
  if (url === null || url.origin !== given || url.hostname.includes('*')) {
    throw new Error('must be an origin, like https://app.example.org: no path, no default port, no wildcard')
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))) return url.origin
  throw new Error('must begin with https://, except for loopback hosts')
}

/**
 * Parses the URL of the application for browsers.
 *
 * @param isOAuth redirect URIs with codes use the URL: http is accepted only for loopback hosts
 * @throws Error that describes valid values
 */
export function parsePublicUrl(given: unknown, isOAuth: boolean): URL {
  if (typeof given !== 'string' || !URL.canParse(given))
    throw new Error('must be a URL, like https://files.example.org')
  const url = new URL(given)
  const { protocol, hostname, pathname, username, password, search, hash } = url
  if (protocol !== 'https:' && protocol !== 'http:') throw new Error('must begin with https:// or http://')
  if (username + password + search + hash !== '') {
    throw new Error('must not contain a user name, password, query or fragment')
  }
  // It becomes the path of a cookie, which cannot contain other characters.
  if (!/^[\w.~/-]*$/.test(pathname)) throw new Error('must have a path of letters, digits, "-", "." and "_"')
  if (isOAuth && protocol !== 'https:' && !LOOPBACK.test(hostname)) {
    throw new Error('must begin with https:// with an OAuth provider, except for loopback hosts')
  }
  return url
}
