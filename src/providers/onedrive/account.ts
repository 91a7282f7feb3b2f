import type { Account, Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { askOwnDrive, type GraphServer } from './server.ts'

/** Returns the user and the quota of their drive. Personal accounts have an address in `userPrincipalName` only. */
export async function readAccount(server: GraphServer, { signal }: Call): Promise<Account> {
  const url = apiUrl(server.origin, '/v1.0/me', { $select: 'id,displayName,userPrincipalName,mail' })
  const [user, drive] = await Promise.all([
    server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }),
    askOwnDrive(server, 'id,driveType,quota', { signal })
  ])
  const id = textOf(user['id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Graph returned no account id')
  const email = textOf(user['mail']) ?? textOf(user['userPrincipalName'])
  const { used: usedBytes, total } = asObject(drive?.['quota'])
  const used = sizeOf(usedBytes)
  return {
    id,
    name: textOf(user['displayName']) ?? email ?? id,
    email,
    // Graph reports a total of 0 for an unlimited drive.
    quota: used === null ? null : { used, total: sizeOf(total) || null }
  }
}
