import type { Secret } from '../../core/secret.ts'
import { StorageError } from '../../errors.ts'
import { accountAt, isText, readBaseUrl, readLogin } from '../dav/settings.ts'
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
 * @throws InvalidSettingError
 */
export function readSettings(raw: Readonly<Record<string, unknown>>): NextcloudSettings {
  const { uid } = raw
  const login = readLogin(raw)
  if (uid != null && !isText(uid, UID)) throw new InvalidSettingError('The field "uid" is not valid.')
  return {
    base: readServerUrl(raw['baseUrl']),
    ...login,
    uid: uid ?? null,
    isIssued: raw['isIssued'] === true
  }
}

/** Returns the root of a server from the URL of any of its pages. @throws InvalidSettingError */
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

export function accountOf({ base, username, uid }: NextcloudSettings): ReturnType<typeof accountAt> {
  return accountAt(base, uid ?? username)
}
