import type { Account, Call } from '../../core/backend.ts'
import type { Egress, HttpResponse } from '../../core/egress.ts'
import type { BegunLogin, ConnectContext } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { isStorageError, providerFailure, StorageError } from '../../errors.ts'
import { isOtherScheme, isSameOrigin } from '../../net/http-client.ts'
import { createAuthorizer } from '../dav/authorization.ts'
import { findSpecificError } from '../dav/errors.ts'
import { readEnteredCredentials } from '../shared/credentials.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { asObject, readJson } from '../shared/rest-client.ts'
import { type NextcloudSettings, noNextcloud, readServerUrl, UID } from './settings.ts'

const MAX_RESPONSE_BYTES = 64 * 1024

interface PendingLogin {
  readonly base: string
  readonly endpoint: string
  readonly token: string
}

/** Starts Login Flow v2: the server creates a login page, and an app password after the login. */
export async function begin(baseUrl: string, { egress, signal, timeouts }: ConnectContext): Promise<BegunLogin> {
  const base = readEnteredCredentials(() => readServerUrl(baseUrl))
  const response = await egress.request({
    method: 'POST',
    url: new URL('index.php/login/v2', base),
    // The user's device list shows the app password under our `User-Agent`.
    headers: { accept: 'application/json' },
    maxBytes: MAX_RESPONSE_BYTES,
    signal
  })
  if (response.status !== 200) {
    const specificError = await findSpecificError({ method: 'POST' }, response, timeouts.idleMs)
    signal.throwIfAborted()
    if (specificError !== null) throw specificError
    await response.discard()
    if ([400, 401, 403, 404, 405].includes(response.status)) throw noNextcloud()
    throw httpFailure('POST', response, 'FOLDER_NOT_FOUND')
  }
  const { poll, login } = await readJson(response).catch((error: unknown) => {
    // Many servers answer every request with a page of their own.
    if (isStorageError(error, 'PROVIDER_ERROR')) throw noNextcloud(error)
    throw error
  })
  const { token, endpoint } = asObject(poll)
  if (typeof token !== 'string' || token === '')
    throw failure('PROVIDER_ERROR', 'The server started a login without a token')
  const pending: PendingLogin = { base: base.href, endpoint: requireSameOrigin(endpoint, base).href, token }
  return { loginUrl: requireSameOrigin(login, base).href, pending: new Secret(pending) }
}

export async function poll(
  pending: Secret<unknown>,
  { egress, signal }: ConnectContext
): Promise<Record<string, unknown> | null> {
  const { base, endpoint, token } = pending.reveal() as PendingLogin
  const response = await egress.request({
    method: 'POST',
    url: new URL(endpoint),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json'
    },
    body: new URLSearchParams({ token }).toString(),
    maxBytes: MAX_RESPONSE_BYTES,
    signal
  })
  if (response.status !== 200) {
    await response.discard()
    if (response.status === 404) return null
    throw httpFailure('POST', response, 'FOLDER_NOT_FOUND')
  }
  const { server, loginName, appPassword } = await readJson(response)
  // The server's own root: the user may have entered one of its pages.
  return {
    baseUrl: requireSameOrigin(server, new URL(base)).href,
    username: loginName,
    password: appPassword,
    isIssued: true
  }
}

/**
 * Returns a URL of the server, which must have the entered origin: requests and passwords go to no other.
 *
 * @throws StorageError `SCHEME_MISMATCH` for the same host with http instead of https or vice versa, as sent by a
 * Nextcloud behind a proxy without `overwriteprotocol`; `ENDPOINT_FORBIDDEN`
 */
function requireSameOrigin(value: unknown, base: URL): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url !== null && isSameOrigin(url, base) && url.username === '' && url.password === '') return url
  if (url !== null && isOtherScheme(url, base)) throw providerFailure('SCHEME_MISMATCH', { responded: true })
  throw new StorageError('ENDPOINT_FORBIDDEN', 'The server refers to another host. Check the address.')
}

export interface OcsUser {
  /** The name of the user's folder. It may differ from the login name. */
  readonly uid: string
  readonly name: string
  readonly email: string | null
  readonly quota: Account['quota']
}

const MAX_OCS_BYTES = 1024 * 1024
/** Deadline for reading the body of an error response. */
const ERROR_BODY_TIMEOUT_MS = 10_000

/** Returns the current user from the server's OCS API. */
export async function fetchUser(settings: NextcloudSettings, egress: Egress, call: Call): Promise<OcsUser> {
  const response = await requestOcs(settings, egress, call, 'GET', 'cloud/user?format=json')
  const data = asObject(asObject((await readJson(response))['ocs'])['data'])
  const { id, email } = data
  if (typeof id !== 'string' || !UID.test(id) || !id.isWellFormed())
    throw failure('PROVIDER_ERROR', 'The server returned no valid user id')
  const name = data['displayname'] ?? data['display-name']
  return {
    uid: id,
    name: typeof name === 'string' && name !== '' ? name : id,
    email: typeof email === 'string' && email !== '' ? email : null,
    quota: readQuota(asObject(data['quota']))
  }
}

/** Revokes the app password of these settings. */
export async function deleteAppPassword(settings: NextcloudSettings, egress: Egress, call: Call): Promise<void> {
  await (await requestOcs(settings, egress, call, 'DELETE', 'core/apppassword?format=json')).discard()
}

/** @returns a successful response with an unread body */
async function requestOcs(
  { base, username, password }: NextcloudSettings,
  egress: Egress,
  { signal }: Call,
  method: 'GET' | 'DELETE',
  path: string
): Promise<HttpResponse> {
  const url = new URL(`ocs/v2.php/${path}`, base)
  const authorization =
    createAuthorizer({ type: 'basic', username, password }).authorize({ method, uri: url.pathname }) ?? ''
  const response = await egress.request({
    method,
    url,
    headers: { accept: 'application/json', 'ocs-apirequest': 'true', authorization },
    maxBytes: MAX_OCS_BYTES,
    signal
  })
  if (response.status === 200) return response
  const specificError = await findSpecificError({ method }, response, ERROR_BODY_TIMEOUT_MS)
  signal.throwIfAborted()
  if (specificError !== null) throw specificError
  await response.discard()
  throw httpFailure(method, response, 'FOLDER_NOT_FOUND')
}

/** In bytes. A negative total means unlimited, unknown or not computed. */
function readQuota({ used, total }: Readonly<Record<string, unknown>>): Account['quota'] {
  if (!isCount(used)) return null
  return { used, total: isCount(total) ? total : null }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
