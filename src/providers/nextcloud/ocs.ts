import type { Egress } from '../../domain/egress.ts'
import type { Account, Call } from '../../domain/storage-backend.ts'
import { createAuthorizer } from '../dav/authorization.ts'
import { failure, httpFailure } from '../shared/http-failure.ts'
import { asObject, readJson } from '../shared/read-json.ts'
import { type NextcloudSettings, UID } from './settings.ts'

export interface OcsUser {
  /** Names the user's folder. It may differ from what the user logs in with. */
  readonly uid: string
  readonly name: string
  readonly email: string | null
  readonly quota: Account['quota']
}

const MAX_ANSWER_BYTES = 1024 * 1024

/** Who this is, as the server's OCS API says. */
export async function fetchUser(settings: NextcloudSettings, egress: Egress, { signal }: Call): Promise<OcsUser> {
  const { base, username, password } = settings
  const url = new URL('ocs/v2.php/cloud/user?format=json', base)
  const authorization = createAuthorizer({ type: 'basic', username, password }).authorize({
    method: 'GET',
    uri: url.pathname
  })
  const answer = await egress.request({
    method: 'GET',
    url,
    headers: { accept: 'application/json', 'ocs-apirequest': 'true', authorization: authorization ?? '' },
    maxBytes: MAX_ANSWER_BYTES,
    signal
  })
  if (answer.status !== 200) {
    await answer.discard()
    throw httpFailure('GET', answer, 'FOLDER_NOT_FOUND')
  }
  const data = asObject(asObject((await readJson(answer))['ocs'])['data'])
  const { id, email } = data
  if (typeof id !== 'string' || !UID.test(id) || !id.isWellFormed())
    throw failure('PROVIDER_ERROR', 'The server does not say who this is')
  const name = data['displayname'] ?? data['display-name']
  return {
    uid: id,
    name: typeof name === 'string' && name !== '' ? name : id,
    email: typeof email === 'string' && email !== '' ? email : null,
    quota: readQuota(asObject(data['quota']))
  }
}

/** In bytes. A total below zero means that it is unlimited, unknown or not computed. */
function readQuota({ used, total }: Readonly<Record<string, unknown>>): Account['quota'] {
  if (!isCount(used)) return null
  return { used, total: isCount(total) ? total : null }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
