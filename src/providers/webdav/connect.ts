import type { ConnectContext, CredentialsConnect, ObjectSchema, ParsedCredentials } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { StorageError } from '../../errors.ts'
import { chooseAuthentication } from '../dav/authorization.ts'
import { propfindBody } from '../dav/entries.ts'
import { probeServer } from '../dav/probe.ts'
import { propfindRequest } from '../dav/session.ts'
import { MAX_BASE_URL_LENGTH } from '../dav/settings.ts'
import { readEnteredCredentials, readStoredCredentials } from '../shared/credentials.ts'
import { httpFailure } from '../shared/errors.ts'
import { openSession } from './session.ts'
import { accountOf, readSettings, TOKEN, type WebdavSettings, writeSettings } from './settings.ts'

const schema: ObjectSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['baseUrl'],
  properties: {
    baseUrl: {
      type: 'string',
      title: 'Address',
      description: 'The folder to connect, https://host/path',
      minLength: 1,
      maxLength: MAX_BASE_URL_LENGTH
    },
    username: { type: 'string', title: 'User name', minLength: 1, maxLength: 255 },
    password: { type: 'string', title: 'Password', minLength: 1, maxLength: 1024, writeOnly: true },
    token: {
      type: 'string',
      title: 'Token',
      description: 'A bearer token, instead of a user name and a password',
      pattern: TOKEN.source,
      writeOnly: true
    }
  }
}

/** Connects a WebDAV server. The server's challenge selects Basic or Digest. */
export const connect: CredentialsConnect = {
  type: 'credentials',
  schema,
  parse: (fields) => toParsed(readEnteredCredentials(() => readSettings(fields))),
  async complete({ credentials }, context) {
    const entered = readStoredCredentials(credentials, readSettings)
    const settings = { ...entered, authentication: await negotiateAuthentication(entered, context) }
    return toParsed({ ...settings, ...(await probeServer(openSession(settings, context), context)) })
  }
}

function toParsed(settings: WebdavSettings): ParsedCredentials {
  return { credentials: new Secret(writeSettings(settings)), ...accountOf(settings) }
}

async function negotiateAuthentication(
  { base, authentication }: WebdavSettings,
  { egress, signal }: ConnectContext
): Promise<WebdavSettings['authentication']> {
  if (authentication.type === 'bearer') return authentication
  const response = await egress.request(propfindRequest({ url: base, signal, depth: 0, body: propfindBody() }))
  await response.discard()
  if (response.status !== 401 && response.status !== 207) throw httpFailure('PROPFIND', response, 'FOLDER_NOT_FOUND')
  const type = chooseAuthentication(response.headers['www-authenticate'], base.protocol === 'https:')
  if (type === null) {
    const message = 'The server does not accept a user name and a password. Use a token.'
    throw new StorageError('INVALID_CREDENTIALS', message)
  }
  return { ...authentication, type }
}
