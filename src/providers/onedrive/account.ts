import { isStorageError } from '../../domain/errors.ts'
import type { Account, Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import { readSize, type Resource, textOf } from './entries.ts'
import { type GraphServer, urlOf } from './server.ts'

/** The user, and how full their drive is. Personal accounts have their address in `userPrincipalName` alone. */
export async function readAccount(server: GraphServer, { signal }: Call): Promise<Account> {
  const url = urlOf(server, '/v1.0/me', { $select: 'id,displayName,userPrincipalName,mail' })
  const [user, drive] = await Promise.all([
    server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }),
    ownDrive(server, { signal })
  ])
  const id = textOf(user['id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Graph does not say who this is')
  const email = textOf(user['mail']) ?? textOf(user['userPrincipalName'])
  const { used: usedBytes, total } = asObject(drive['quota'])
  const used = readSize(usedBytes)
  return {
    id,
    name: textOf(user['displayName']) ?? email ?? id,
    email,
    // Without a limit the total is 0.
    quota: used === null ? null : { used, total: readSize(total) || null }
  }
}

/** Empty for somebody who has no drive: not every licence of an organisation brings one. */
async function ownDrive(server: GraphServer, { signal }: Call): Promise<Resource> {
  const url = urlOf(server, '/v1.0/me/drive', { $select: 'id,driveType,quota' })
  try {
    const drive = await server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' })
    server.own.learnDrive(drive)
    return drive
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND', 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')) return {}
    throw error
  }
}
