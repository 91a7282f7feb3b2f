import type { ParsedCredentials } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { InvalidSettingError } from '../shared/credentials.ts'
import { isSegment } from '../shared/names.ts'
import { decodeSegment } from './paths.ts'

export const MAX_BASE_URL_LENGTH = 1024
/** RFC 7617: no colon in the user name, and no control characters in user name or password. */
const USERNAME = /^[^\p{Cc}:]{1,255}$/u
const PASSWORD = /^[^\p{Cc}]{1,1024}$/u

/** Normalises the URL of a server, which then ends with `/`. Returns `null` if it is invalid. */
export function readBaseUrl(value: unknown): URL | null {
  if (typeof value !== 'string' || value.length > MAX_BASE_URL_LENGTH || !URL.canParse(value)) return null
  const url = new URL(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null
  // `href` contains a lone `?` or `#`, which `search` and `hash` omit.
  if (url.href !== url.origin + url.pathname) return null
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  if (url.pathname === '/') return url
  const segments = url.pathname.slice(1, -1).split('/').map(decodeSegment)
  if (!segments.every((segment) => segment !== null && isSegment(segment))) return null
  // `%7Euser` and `~user` are the same folder, and must be the same account.
  url.pathname = `/${segments.map((segment) => encodeURIComponent(segment ?? '')).join('/')}/`
  return url
}

/** Validates a user name and a password. @throws InvalidSettingError */
export function readLogin({ username, password }: Readonly<Record<string, unknown>>): {
  readonly username: string
  readonly password: Secret<string>
} {
  if (!isText(username, USERNAME)) {
    throw new InvalidSettingError('The field "username" must be 1 to 255 characters without ":".')
  }
  if (!isText(password, PASSWORD)) throw new InvalidSettingError('The field "password" must be 1 to 1024 characters.')
  return { username, password: new Secret(password) }
}

export function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value) && value.isWellFormed()
}

/** Identifies the account of a user of a server. @param user `null` if the credentials do not contain a name */
export function accountAt(base: URL, user: string | null): Pick<ParsedCredentials, 'accountId' | 'label'> {
  const location = base.host + (base.pathname === '/' ? '' : base.pathname.slice(0, -1))
  return {
    accountId: `${base.href}#${encodeURIComponent(user ?? '')}`,
    label: user === null ? location : `${user} at ${location}`
  }
}
