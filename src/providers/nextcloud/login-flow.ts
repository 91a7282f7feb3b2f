import type { BegunLogin, ConnectContext } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { isStorageError, providerFailure, StorageError } from '../../errors.ts'
import { isOtherScheme, isSameOrigin } from '../../net/redirects.ts'
import { findSpecificError } from '../dav/errors.ts'
import { readEnteredCredentials } from '../shared/credentials.ts'
import { asObject } from '../shared/entries.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { readJson } from '../shared/rest-client.ts'
import { noNextcloud, readServerUrl } from './settings.ts'

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
