import { lstat, mkdir, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import type {
  Account,
  Call,
  Capabilities,
  Download,
  DownloadCall,
  ListCall,
  StorageBackend,
  UploadCall,
  UploadTarget
} from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import type { ManagedDiskOptions } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError } from '../../errors.ts'
import { failure, mapErrors, type NotFoundCode } from '../shared/errors.ts'
import { uploadFrom } from '../shared/upload.ts'
import { downloadFile } from './download.ts'
import { fileEntry, folderEntry } from './entries.ts'
import { isNotFound, toStorageError } from './errors.ts'
import { listFolder } from './list.ts'
import { DiskFolder, type DiskSession, Locks } from './session.ts'
import { uploadFile } from './upload.ts'

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
  return new DiskBackend({ root: await DiskFolder.open(directory), locks: new Locks(), timeouts })
}

/**
 * Files below one folder, for one machine and for development. Ids have the format of S3's (`a/b` a file, `a/` a
 * folder), so that documents keep theirs when the host moves to a bucket.
 */
export class DiskBackend implements StorageBackend {
  readonly provider = 'disk'
  readonly capabilities: Capabilities = {
    paging: 'emulated',
    kindFilter: 'emulated',
    rangeDownload: 'native',
    upload: 'native',
    createOnly: 'native',
    // Compared and replaced under a lock within this process only.
    updateIfMatch: 'emulated',
    atomicReplace: 'native',
    remove: 'native',
    createFolder: 'native',
    downloadUrl: 'unsupported',
    changes: 'unsupported'
  }
  readonly #session: DiskSession

  constructor(session: DiskSession) {
    this.#session = session
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    return run(call, 'FOLDER_NOT_FOUND', () => listFolder(this.#session, folderId, call))
  }

  async stat(id: string, call: Call): Promise<Entry> {
    const { root } = this.#session
    return run(call, 'OBJECT_NOT_FOUND', async () => {
      const isFolder = id.endsWith('/')
      const path = isFolder ? root.folderPathOf(id) : root.filePathOf(id)
      await root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
      const stats = await lstat(path, { bigint: true })
      if (isFolder && stats.isDirectory()) return folderEntry(id, stats, true)
      if (!isFolder && stats.isFile()) return fileEntry(id, stats, true)
      throw failure('OBJECT_NOT_FOUND')
    })
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    return run(call, 'OBJECT_NOT_FOUND', () => downloadFile(this.#session, id, call))
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFrom(body, call, (source) =>
      run(call, 'FOLDER_NOT_FOUND', () => uploadFile(this.#session, target, source, call))
    )
  }

  async remove(id: string, call: Call): Promise<void> {
    const { root, locks } = this.#session
    await run(call, 'OBJECT_NOT_FOUND', async () => {
      const path = root.filePathOf(id)
      await locks.run(path, async () => {
        try {
          await root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
          if ((await lstat(path)).isFile()) await unlink(path)
        } catch (error) {
          if (!isNotFound(error) && !isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
        }
      })
    })
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    const { root } = this.#session
    return run(call, 'FOLDER_NOT_FOUND', async () => {
      const id = `${root.childId(parentId, name)}/`
      const path = root.folderPathOf(id)
      await root.requireFolder(dirname(path), 'FOLDER_NOT_FOUND')
      await mkdir(path, { mode: 0o700 })
      await root.syncFolderOf(path)
      return folderEntry(id, await lstat(path, { bigint: true }), true)
    })
  }

  async account(call: Call): Promise<Account> {
    const { root } = this.#session
    return run(call, 'FOLDER_NOT_FOUND', async () => {
      await root.requireFolder(root.path, 'FOLDER_NOT_FOUND')
      return { id: 'disk', name: 'Disk', email: null, quota: null }
    })
  }
}

/** Runs one operation and maps the file system's errors. @param missing the meaning of a missing path */
function run<T>(call: Call, missing: NotFoundCode, operation: () => Promise<T>): Promise<T> {
  return mapErrors(call, (error) => toStorageError(error, missing), operation)
}
