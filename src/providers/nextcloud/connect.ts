import type { Call } from '../../core/backend.ts'
import type { LoginFlowConnect, ObjectSchema, ParsedCredentials } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { isStorageError } from '../../errors.ts'
import { readException } from '../dav/errors.ts'
import { type DavSession, getResource, propfindRequest } from '../dav/session.ts'
import { MAX_BASE_URL_LENGTH } from '../dav/settings.ts'
import { readEnteredCredentials, readStoredCredentials } from '../shared/credentials.ts'
import { httpFailure } from '../shared/errors.ts'
import { begin, poll } from './login-flow.ts'
import { deleteAppPassword, fetchUser, openSession } from './session.ts'
import { accountOf, type NextcloudSettings, noNextcloud, readSettings, writeSettings } from './settings.ts'

const schema: ObjectSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['baseUrl', 'username', 'password'],
  properties: {
    baseUrl: {
      type: 'string',
      title: 'Address',
      description: 'The Nextcloud server, https://host or https://host/path',
      minLength: 1,
      maxLength: MAX_BASE_URL_LENGTH
    },
    username: { type: 'string', title: 'User name', minLength: 1, maxLength: 255 },
    password: {
      type: 'string',
      title: 'App password',
      description: 'Create one in the settings of Nextcloud, under "Security"',
      minLength: 1,
      maxLength: 1024,
      writeOnly: true
    }
  }
}

/** Connects a Nextcloud by Login Flow v2, or with an app password. */
export const connect: LoginFlowConnect = {
  type: 'login-flow',
  schema,
  parse: ({ baseUrl, username, password, isIssued }) =>
    toParsed(readEnteredCredentials(() => readSettings({ baseUrl, username, password, isIssued }))),
  async complete({ credentials }, context) {
    const entered = readStoredCredentials(credentials, readSettings)
    const session = openSession(entered, context)
    const hasUserFolder = await findUserFolder(session, context)
    const { uid } = await fetchUser(session.client, entered.base, context).catch((error: unknown) => {
      // WebDAV works, but the OCS API is missing or unknown.
      if (isStorageError(error, 'FOLDER_NOT_FOUND', 'UNSUPPORTED', 'PROVIDER_ERROR')) throw noNextcloud(error)
      throw error
    })
    const settings = readStoredCredentials(new Secret({ ...writeSettings(entered), uid }), readSettings)
    if (!hasUserFolder || uid !== entered.username) {
      const userSession = openSession(settings, context)
      await getResource(userSession, userSession.paths.base, context, 'FOLDER_NOT_FOUND')
    }
    return toParsed(settings)
  },
  begin,
  poll,
  async revoke(credentials, context) {
    const settings = readStoredCredentials(credentials, readSettings)
    if (settings.isIssued) await deleteAppPassword(openSession(settings, context).client, settings.base, context)
  }
}

function toParsed(settings: NextcloudSettings): ParsedCredentials {
  return { credentials: new Secret(writeSettings(settings)), ...accountOf(settings) }
}

/**
 * Looks for the files of the user name as entered. Uses WebDAV first because it distinguishes a disabled account from
 * a wrong password, which OCS does not.
 *
 * @returns false if the login name is not the name of the folder, which only OCS reports
 * @throws StorageError `INVALID_ADDRESS`, `ACCESS_DENIED`, `ACCOUNT_DISABLED` and other errors of the server
 */
async function findUserFolder({ client, paths, propfind }: DavSession, { signal }: Call): Promise<boolean> {
  const request = propfindRequest({ url: paths.base, signal, depth: 0, body: propfind })
  const response = await client.send(request).catch((error: unknown) => {
    // Redirected to another host, or not HTTP.
    if (isStorageError(error, 'PROVIDER_ERROR')) throw noNextcloud(error)
    throw error
  })
  const { status } = response
  if (status === 207) {
    await response.discard()
    return true
  }
  const exception = await readException(response, client.timeouts.idleMs)
  signal.throwIfAborted()
  if (exception !== null && (status === 403 || status === 404)) return false
  if (status === 401 || status === 429 || status >= 500) throw httpFailure('PROPFIND', response, 'FOLDER_NOT_FOUND')
  throw noNextcloud(httpFailure('PROPFIND', response, 'FOLDER_NOT_FOUND'))
}
