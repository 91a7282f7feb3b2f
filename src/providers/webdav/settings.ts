import { Secret } from '../../core/secret.ts'
import type { DavAuthentication } from '../dav/authorization.ts'
import type { ServerFeatures } from '../dav/probe.ts'
import { accountAt, isText, readBaseUrl, readLogin } from '../dav/settings.ts'
import type { MoveSupport } from '../dav/upload.ts'
import { InvalidSettingError } from '../shared/credentials.ts'

/** A folder of a WebDAV server, and how to access it. */
export interface WebdavSettings extends ServerFeatures {
  readonly base: URL
  readonly authentication: DavAuthentication
}

/** RFC 6750, 2.1. */
export const TOKEN = /^[A-Za-z0-9._~+/-]{1,4096}=*$/

/** Validates settings, entered by a user or stored in the database. */
export function readSettings(raw: Readonly<Record<string, unknown>>): WebdavSettings {
  const base = readBaseUrl(raw['baseUrl'])
  if (base === null) throw new InvalidSettingError('The field "baseUrl" must be https://host/path, without a query.')
  return {
    base,
    authentication: readAuthentication(raw),
    checksPreconditions: raw['checksPreconditions'] === true,
    moves: readMoveSupport(raw['moves']),
    versions: raw['versions'] === 'strong' || raw['versions'] === 'weak' ? raw['versions'] : 'none'
  }
}

/** Formats settings for storage; {@link readSettings} reads them. */
export function writeSettings({ base, authentication, ...features }: WebdavSettings): Record<string, unknown> {
  const { type } = authentication
  const secrets =
    type === 'bearer'
      ? { token: authentication.token.reveal() }
      : { username: authentication.username, password: authentication.password.reveal() }
  return { baseUrl: base.href, authentication: type, ...secrets, ...features }
}

/** A token does not identify its user. */
export function accountOf({ base, authentication }: WebdavSettings): ReturnType<typeof accountAt> {
  return accountAt(base, authentication.type === 'bearer' ? null : authentication.username)
}

/** Returns `null` also for connections stored before servers were tested for MOVE, which still upload by PUT. */
function readMoveSupport(value: unknown): MoveSupport | null {
  if (typeof value !== 'object' || value === null) return null
  const { checksOverwrite, checksIf } = value as Record<string, unknown>
  return { checksOverwrite: checksOverwrite === true, checksIf: checksIf === true }
}

function readAuthentication(raw: Readonly<Record<string, unknown>>): DavAuthentication {
  const { authentication, username, password, token } = raw
  if (token === undefined) return { type: authentication === 'digest' ? 'digest' : 'basic', ...readLogin(raw) }
  if (username !== undefined || password !== undefined) {
    throw new InvalidSettingError('Give "token", or "username" and "password".')
  }
  if (!isText(token, TOKEN)) throw new InvalidSettingError('The field "token" must be a bearer token.')
  return { type: 'bearer', token: new Secret(token) }
}
