import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { type DropboxServer, look } from './server.ts'

/** Maximum attempts to remove a file that changes between the check and the removal. */
const MAX_LOOKS = 2

/**
 * Removes a file; Dropbox can restore it for a month. Dropbox would also remove a folder with its content, so the
 * item is checked first, and exactly the checked version is removed.
 *
 * @throws StorageError `INVALID_REQUEST` for a folder, `LOCKED` for a file that changes continually
 */
export async function removeFile(server: DropboxServer, id: string, call: Call): Promise<void> {
  const options = { signal: call.signal, missing: 'OBJECT_NOT_FOUND' } as const
  for (let looks = 1; looks <= MAX_LOOKS; looks++) {
    try {
      const { '.tag': tag, rev } = await look(server, id, call, 'OBJECT_NOT_FOUND')
      if (tag === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      if (typeof rev !== 'string') throw failure('PROVIDER_ERROR', 'Dropbox returned a file without a version')
      await server.client.files('delete_v2', { path: id, parent_rev: rev }, options)
      return
    } catch (error) {
      if (isStorageError(error, 'OBJECT_NOT_FOUND')) return
      if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    }
  }
  throw failure('LOCKED', 'The file changed before each attempt to remove it')
}
