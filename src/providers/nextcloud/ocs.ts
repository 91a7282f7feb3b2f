import type { Egress, HttpAnswer } from '../../domain/egress.ts'
import type { Account, Call } from '../../domain/storage-backend.ts'
import { createAuthorizer } from '../dav/authorization.ts'
import { findRefusal } from '../dav/refusal.ts'
import { failure, httpFailure } from '../shared/http-failure.ts'
import { asObject, readJson } from '../shared/read-json.ts'
import { type NextcloudSettings, UID } from './settings.ts'

export interface OcsUser {
  /** The name of the user's folder. It may differ from the login name. */
  readonly uid: string
  readonly name: string
  readonly email: string | null
  readonly quota: Account['quota']
}

const MAX_ANSWER_BYTES = 1024 * 1024
/** Deadline for reading the body of an error response. */
const REFUSAL_MS = 10_000

/** Returns the current user from the server's OCS API. */
export async function fetchUser(settings: NextcloudSettings, egress: Egress, call: Call): Promise<OcsUser> {
  const answer = await askOcs(settings, egress, call, 'GET', 'cloud/user?format=json')
  const data = asObject(asObject((await readJson(answer))['ocs'])['data'])
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
  await (await askOcs(settings, egress, call, 'DELETE', 'core/apppassword?format=json')).discard()
}

/** @returns a successful response with an unread body */
async function askOcs(
  { base, username, password }: NextcloudSettings,
  egress: Egress,
  { signal }: Call,
  method: 'GET' | 'DELETE',
  path: string
): Promise<HttpAnswer> {
  const url = new URL(`ocs/v2.php/${path}`, base)
  const authorization =
    createAuthorizer({ type: 'basic', username, password }).authorize({ method, uri: url.pathname }) ?? ''
  const answer = await egress.request({
    method,
    url,
    headers: { accept: 'application/json', 'ocs-apirequest': 'true', authorization },
    maxBytes: MAX_ANSWER_BYTES,
    signal
  })
  if (answer.status === 200) return answer
  const refusal = await findRefusal({ method }, answer, REFUSAL_MS)
  signal.throwIfAborted()
  if (refusal !== null) throw refusal
  await answer.discard()
  throw httpFailure(method, answer, 'FOLDER_NOT_FOUND')
}

/** In bytes. A negative total means unlimited, unknown or not computed. */
function readQuota({ used, total }: Readonly<Record<string, unknown>>): Account['quota'] {
  if (!isCount(used)) return null
  return { used, total: isCount(total) ? total : null }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
