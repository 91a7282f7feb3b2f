import type { ManagedDiskOptions } from '../domain/managed-store.ts'
import type { Timeouts } from '../domain/ports.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { DiskBackend } from './disk/backend.ts'
import { DiskFolder } from './disk/disk-folder.ts'

/**
 * Opens a folder on this machine, and creates it if it is missing.
 *
 * @throws Error that names the folder, if it is unusable
 */
export async function openManaged(
  { directory }: ManagedDiskOptions,
  { timeouts }: { readonly timeouts: Timeouts }
): Promise<StorageBackend> {
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError('The option "directory" of a managed store on disk must be the path of a folder.')
  }
  return new DiskBackend(await DiskFolder.open(directory), timeouts)
}
