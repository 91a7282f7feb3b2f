import type { Account, Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { askOwnDrive, type GraphServer } from './server.ts'

/** The user, and how full their drive is. Personal accounts have their address in `userPrincipalName` alone. */
export async function readAccount(server: GraphServer, { signal }: Call): Promise<Account> {
  const url = apiUrl(server.origin, '/v1.0/me', { $select: 'id,displayName,userPrincipalName,mail' })
  const [user, drive] = await Promise.all([
    server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }),
    askOwnDrive(server, 'id,driveType,quota', { signal })
  ])
  const id = textOf(user['id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Graph does not say who this is')
  const email = textOf(user['mail']) ?? textOf(user['userPrincipalName'])
  const { used: usedBytes, total } = asObject(drive?.['quota'])
  const used = sizeOf(usedBytes)
  return {
    id,
    name: textOf(user['displayName']) ?? email ?? id,
    email,
    // Without a limit the total is 0.
    quota: used === null ? null : { used, total: sizeOf(total) || null }
  }
}
