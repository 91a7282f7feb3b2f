import type { Account, Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import type { Facts } from './facts.ts'
import type { DropboxServer } from './server.ts'

/** Returns the current user. Also updates the path root from the response. */
export async function readAccount({ client }: DropboxServer, call: Call): Promise<Account> {
  const account = await client.user('get_current_account', call)
  const id = textOf(account['account_id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Dropbox returned no account id')
  client.root.learn(account)
  const space = await client.user('get_space_usage', call)
  const email = textOf(account['email'])
  const name = textOf(asObject(account['name'])['display_name'])
  return {
    id,
    name: name ?? email ?? id,
    email,
    quota: quotaOf(space)
  }
}

/** Team members share the team's space. A member's own limit applies if it blocks uploads. */
function quotaOf({ used, allocation }: Facts): Account['quota'] {
  const space = asObject(allocation)
  const ownUse = sizeOf(used)
  const total = sizeOf(space['allocated'])
  if (space['.tag'] !== 'team') return ownUse === null ? null : { used: ownUse, total }
  const ownLimit = sizeOf(space['user_within_team_space_allocated']) ?? 0
  const isLimited = asObject(space['user_within_team_space_limit_type'])['.tag'] === 'stop_sync'
  if (ownLimit > 0 && isLimited && ownUse !== null) return { used: ownUse, total: ownLimit }
  const teamUse = sizeOf(space['used'])
  return teamUse === null ? null : { used: teamUse, total }
}
