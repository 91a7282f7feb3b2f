import type { Account, Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { readSize } from './entries.ts'
import type { DriveServer } from './server.ts'

/** Returns the current user. A quota without a limit belongs to an organisation with unlimited or pooled storage. */
export async function readAccount({ client }: DriveServer, { signal }: Call): Promise<Account> {
  const fields = 'user(displayName,emailAddress,permissionId),storageQuota'
  const { user, storageQuota } = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
    drive.about.get({ fields }, options)
  )
  const { permissionId, displayName, emailAddress } = user ?? {}
  if (typeof permissionId !== 'string' || permissionId === '') {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no account id')
  }
  const used = readSize(storageQuota?.usage)
  return {
    id: permissionId,
    name: displayName || emailAddress || permissionId,
    email: emailAddress || null,
    quota: used === null ? null : { used, total: readSize(storageQuota?.limit) }
  }
}
