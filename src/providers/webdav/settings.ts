import { Secret } from '../../core/secret.ts'
import { type DavAuthentication, PASSWORD, USERNAME } from '../dav/authorization.ts'
import { readBaseUrl } from '../dav/paths.ts'
import type { ServerFeatures } from '../dav/probe.ts'
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

/** Identifies the account by server and user. A token does not identify its user. */
export function accountIdOf({ base, authentication }: WebdavSettings): string {
  return `${base.href}#${authentication.type === 'bearer' ? '' : encodeURIComponent(authentication.username)}`
}

export function labelOf({ base, authentication }: WebdavSettings): string {
  const location = base.host + (base.pathname === '/' ? '' : base.pathname.slice(0, -1))
  return authentication.type === 'bearer' ? location : `${authentication.username} at ${location}`
}

/** Returns `null` also for connections stored before servers were tested for MOVE, which still upload by PUT. */
function readMoveSupport(value: unknown): MoveSupport | null {
  if (typeof value !== 'object' || value === null) return null
  const { checksOverwrite, checksIf } = value as Record<string, unknown>
  return { checksOverwrite: checksOverwrite === true, checksIf: checksIf === true }
}

function readAuthentication({
  authentication,
  username,
  password,
  token
}: Readonly<Record<string, unknown>>): DavAuthentication {
  if (token !== undefined && username === undefined && password === undefined) {
    return { type: 'bearer', token: readSecret('token', token, TOKEN, 'a bearer token') }
  }
  if (token !== undefined) throw new InvalidSettingError('Give "token", or "username" and "password".')
  if (typeof username !== 'string' || !USERNAME.test(username) || !username.isWellFormed()) {
    throw new InvalidSettingError('The field "username" must be 1 to 255 characters without ":".')
  }
  return {
    type: authentication === 'digest' ? 'digest' : 'basic',
    username,
    password: readSecret('password', password, PASSWORD, '1 to 1024 characters')
  }
}

function readSecret(field: string, value: unknown, pattern: RegExp, expected: string): Secret<string> {
  if (typeof value !== 'string' || !pattern.test(value) || !value.isWellFormed()) {
    throw new InvalidSettingError(`The field "${field}" must be ${expected}.`)
  }
  return new Secret(value)
}
