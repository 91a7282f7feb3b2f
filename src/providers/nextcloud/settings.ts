import { StorageError } from '../../errors.ts'
import { Secret } from '../../core/secret.ts'
import { PASSWORD, USERNAME } from '../dav/authorization.ts'
import { readBaseUrl } from '../dav/paths.ts'
import { InvalidSettingError } from '../shared/credentials.ts'

/** One user of one Nextcloud. */
export interface NextcloudSettings {
  /** The server's own root, not that of its WebDAV. */
  readonly base: URL
  /** The login name, which may differ from the uid. */
  readonly username: string
  readonly password: Secret<string>
  /** The name of the user's folder; `null` until the server has reported it. */
  readonly uid: string | null
  /** Whether a login issued the password to us. An entered password may be in use elsewhere. */
  readonly isIssued: boolean
}

/** A uid that is usable as a path segment. */
export const UID = /^(?!\.{1,2}$)[^\p{Cc}/]{1,255}$/u
/** Paths below the server's own root that users copy from the address bar or from the settings. */
const KNOWN_PATHS =
  /\/(?:(?:index|remote|public|status|ocs)\.php(?:\/.*)?|login(?:\/.*)?|(?:apps|settings)\/.+|[fs]\/\w+\/?)$/

/**
 * Validates settings, entered by a user or stored by {@link writeSettings}. Older versions also stored `paginates`,
 * which is ignored.
 *
 * @throws UnusableSetting
 */
export function readSettings(raw: Readonly<Record<string, unknown>>): NextcloudSettings {
  const { username, password, uid } = raw
  if (!isText(username, USERNAME))
    throw new InvalidSettingError('The field "username" must be 1 to 255 characters without ":".')
  if (!isText(password, PASSWORD)) throw new InvalidSettingError('The field "password" must be 1 to 1024 characters.')
  if (uid != null && !isText(uid, UID)) throw new InvalidSettingError('The field "uid" is not valid.')
  return {
    base: readServerUrl(raw['baseUrl']),
    username,
    password: new Secret(password),
    uid: uid ?? null,
    isIssued: raw['isIssued'] === true
  }
}

/** Returns the root of a server from the URL of any of its pages. @throws UnusableSetting */
export function readServerUrl(value: unknown): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url !== null && KNOWN_PATHS.test(url.pathname)) {
    url.pathname = url.pathname.replace(KNOWN_PATHS, '/')
    // Query and fragment belong to the page, such as the folder that it shows.
    url.search = ''
    url.hash = ''
  }
  const base = url === null ? null : readBaseUrl(url.href)
  if (base === null) throw new InvalidSettingError('The field "baseUrl" must be https://host or https://host/path.')
  return base
}

/** Formats settings for storage; {@link readSettings} reads them. */
export function writeSettings({ base, username, password, uid, isIssued }: NextcloudSettings): Record<string, unknown> {
  return { baseUrl: base.href, username, password: password.reveal(), uid, isIssued }
}

/** Returns the error for an address without a Nextcloud, whatever the password. */
export function noNextcloud(cause?: unknown): StorageError {
  return new StorageError('INVALID_ADDRESS', 'There is no Nextcloud at this address. Check the address.', { cause })
}

export function accountIdOf({ base, username, uid }: NextcloudSettings): string {
  return `${base.href}#${encodeURIComponent(uid ?? username)}`
}

export function labelOf({ base, username, uid }: NextcloudSettings): string {
  return `${uid ?? username} at ${base.host}${base.pathname === '/' ? '' : base.pathname.slice(0, -1)}`
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value) && value.isWellFormed()
}
