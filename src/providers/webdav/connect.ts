import type { Egress } from '../../core/egress.ts'
import type { ConnectContext, CredentialsConnect, ObjectSchema, ParsedCredentials } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import type { Timeouts } from '../../core/stores.ts'
import { StorageError } from '../../errors.ts'
import { chooseAuthentication, createAuthorizer } from '../dav/authorization.ts'
import { DavClient } from '../dav/client.ts'
import { davEntry, propfindBody } from '../dav/entries.ts'
import { NameForms } from '../dav/name-forms.ts'
import { DavPaths, MAX_BASE_URL_LENGTH } from '../dav/paths.ts'
import { probeServer } from '../dav/probe.ts'
import type { DavSession } from '../dav/session.ts'
import { readStoredCredentials, readEnteredCredentials } from '../shared/credentials.ts'
import { httpFailure } from '../shared/errors.ts'
import { accountIdOf, labelOf, readSettings, TOKEN, type WebdavSettings, writeSettings } from './settings.ts'

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
  return {
    credentials: new Secret(writeSettings(settings)),
    accountId: accountIdOf(settings),
    label: labelOf(settings)
  }
}

async function negotiateAuthentication(
  { base, authentication }: WebdavSettings,
  { egress, signal }: ConnectContext
): Promise<WebdavSettings['authentication']> {
  if (authentication.type === 'bearer') return authentication
  const response = await egress.request({
    method: 'PROPFIND',
    url: base,
    headers: { 'content-type': 'application/xml; charset=utf-8', depth: '0' },
    body: propfindBody(),
    signal
  })
  await response.discard()
  if (response.status !== 401 && response.status !== 207) throw httpFailure('PROPFIND', response, 'FOLDER_NOT_FOUND')
  const type = chooseAuthentication(response.headers['www-authenticate'], base.protocol === 'https:')
  if (type === null) {
    const message = 'The server does not accept a user name and a password. Use a token.'
    throw new StorageError('INVALID_CREDENTIALS', message)
  }
  return { ...authentication, type }
}

/** Opens a connection without making a request. */
export function openSession(
  { base, authentication, versions }: WebdavSettings,
  { egress, timeouts }: { readonly egress: Egress; readonly timeouts: Timeouts }
): DavSession {
  egress.assertAllowed(base)
  const paths = new DavPaths(base)
  const nameForms = new NameForms()
  const session: DavSession = {
    client: new DavClient({ egress, timeouts, authorizer: createAuthorizer(authentication) }),
    paths,
    propfind: propfindBody(),
    toEntry: (id, _resource, metadata) => davEntry(paths, id, metadata),
    listedId: (id, call) => nameForms.findListedId(session, id, call),
    hasVersions: versions !== 'none'
  }
  return session
}
