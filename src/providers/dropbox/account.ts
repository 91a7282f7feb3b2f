import type { Account, Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import type { Facts } from './client.ts'
import { readBytes } from './entries.ts'
import type { DropboxServer } from './server.ts'

/** The user. Where paths begin is learned anew by the way. */
export async function readAccount({ client }: DropboxServer, call: Call): Promise<Account> {
  const account = await client.user('get_current_account', call)
  const { account_id: id, email, name } = account
  if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Dropbox does not say who this is')
  client.root.learn(account)
  const space = await client.user('get_space_usage', call)
  const displayName = asObject(name)['display_name']
  const address = typeof email === 'string' && email !== '' ? email : null
  return {
    id,
    name: typeof displayName === 'string' && displayName !== '' ? displayName : (address ?? id),
    email: address,
    quota: quotaOf(space)
  }
}

/** Members of a team share its space; a limit of the member's own counts where there is one that stops uploads. */
function quotaOf({ used, allocation }: Facts): Account['quota'] {
  const space = asObject(allocation)
  const ownUse = readBytes(used)
  const total = readBytes(space['allocated'])
  if (space['.tag'] !== 'team') return ownUse === null ? null : { used: ownUse, total }
  const ownLimit = readBytes(space['user_within_team_space_allocated']) ?? 0
  const isLimited = asObject(space['user_within_team_space_limit_type'])['.tag'] === 'stop_sync'
  if (ownLimit > 0 && isLimited && ownUse !== null) return { used: ownUse, total: ownLimit }
  const teamUse = readBytes(space['used'])
  return teamUse === null ? null : { used: teamUse, total }
}
