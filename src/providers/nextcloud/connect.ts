import type { LoginFlowConnect, ObjectSchema, ParsedCredentials } from '../../domain/provider.ts'
import { Secret } from '../../domain/secret.ts'
import { MAX_BASE_URL_LENGTH } from '../dav/base-url.ts'
import { readStored, readTyped } from '../shared/stored-credentials.ts'
import { begin, poll } from './login-flow.ts'
import { deleteAppPassword, fetchUser } from './ocs.ts'
import { openServer } from './server.ts'
import { accountIdOf, labelOf, type NextcloudSettings, readSettings, writeSettings } from './settings.ts'

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
      description: 'Made in the settings of Nextcloud, under "Security"',
      minLength: 1,
      maxLength: 1024,
      writeOnly: true
    }
  }
}

/** How a user connects a Nextcloud: by a login there, or with an app password. */
export const connect: LoginFlowConnect = {
  type: 'login-flow',
  schema,
  parse: ({ baseUrl, username, password, isIssued }) =>
    toParsed(readTyped(() => readSettings({ baseUrl, username, password, isIssued }))),
  async complete({ credentials }, context) {
    const typed = readStored(credentials, readSettings)
    const { uid } = await fetchUser(typed, context.egress, context)
    const settings = readStored(new Secret({ ...writeSettings(typed), uid }), readSettings)
    const { client, paths } = openServer(settings, context)
    const asked = { method: 'OPTIONS', url: paths.base, signal: context.signal }
    const answer = await client.expect(asked, [200, 204], 'FOLDER_NOT_FOUND')
    await answer.discard()
    const features = (answer.headers['dav'] ?? '').split(',').map((feature) => feature.trim())
    return toParsed({ ...settings, paginates: features.includes('nc-paginate') })
  },
  begin,
  poll,
  async revoke(credentials, context) {
    const settings = readStored(credentials, readSettings)
    if (settings.isIssued) await deleteAppPassword(settings, context.egress, context)
  }
}

function toParsed(settings: NextcloudSettings): ParsedCredentials {
  return {
    credentials: new Secret(writeSettings(settings)),
    accountId: accountIdOf(settings),
    label: labelOf(settings)
  }
}
