import type { Account, Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure } from '../shared/http-failure.ts'
import { textOf } from '../shared/read-json.ts'
import type { BoxServer } from './server.ts'

/** The quota in bytes that Box reports for some accounts without a limit, instead of -1 (seen; not documented). */
const UNLIMITED = 999_999_999_999_999

/** Returns the current user. */
export async function readAccount(server: BoxServer, { signal }: Call): Promise<Account> {
  const url = apiUrl(server.api, '/2.0/users/me', { fields: 'id,name,login,space_amount,space_used' })
  const { id, ...user } = await server.client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' })
  if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Box returned no account id')
  const email = textOf(user['login'])
  const used = readBytes(user['space_used'])
  const amount = readBytes(user['space_amount'])
  return {
    id,
    name: textOf(user['name']) ?? email ?? id,
    email,
    quota: used === null ? null : { used, total: amount !== null && amount < UNLIMITED ? amount : null }
  }
}

/** Accepts numbers beyond the exact range: a quota need not be exact to the byte. */
function readBytes(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
}
