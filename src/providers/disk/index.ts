import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, unlink } from 'node:fs/promises'
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
import { resolveRange } from '../shared/download.ts'
import { nameOf } from '../shared/names.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { uploadFrom, type UploadSource } from '../shared/upload.ts'
import { DiskFolder, isNotFound, Locks, type NotFoundCode, notFoundError, toStorageError } from './folder.ts'
import { fileEntry, folderEntry, listFolder, modifiedAt, versionOf } from './list.ts'
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
  return new DiskBackend(await DiskFolder.open(directory), timeouts)
}

/** `O_NONBLOCK`: opening a named pipe in the folder must not wait for a writer. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

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
    downloadUrl: 'unsupported'
  }
  readonly #root: DiskFolder
  readonly #timeouts: Timeouts
  readonly #locks = new Locks()

  constructor(root: DiskFolder, timeouts: Timeouts) {
    this.#root = root
    this.#timeouts = timeouts
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    return mapErrors(call, 'FOLDER_NOT_FOUND', () => listFolder(this.#root, folderId, call))
  }

  async stat(id: string, call: Call): Promise<Entry> {
    return mapErrors(call, 'OBJECT_NOT_FOUND', async () => {
      const isFolder = id.endsWith('/')
      const path = isFolder ? this.#root.folderPathOf(id) : this.#root.filePathOf(id)
      await this.#root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
      const stats = await lstat(path, { bigint: true })
      if (isFolder && stats.isDirectory()) return folderEntry(id, stats, true)
      if (!isFolder && stats.isFile()) return fileEntry(id, stats, true)
      throw notFoundError('OBJECT_NOT_FOUND')
    })
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    return mapErrors(call, 'OBJECT_NOT_FOUND', async () => {
      if (id.endsWith('/')) {
        this.#root.folderPathOf(id)
        throw notFoundError('OBJECT_NOT_FOUND')
      }
      const path = this.#root.filePathOf(id)
      await this.#root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
      const file = await open(path, READ_FLAGS)
      try {
        return await this.#openDownload(file, nameOf(id), call)
      } catch (error) {
        await file.close()
        throw error
      }
    })
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    const upload = async (source: UploadSource) => {
      // An upload by name needs its folder; an upload by id creates it, as with keys of an object store.
      const isByName = 'name' in target
      const id = isByName ? this.#root.childId(target.parentId, target.name) : target.id
      const path = this.#root.filePathOf(id)
      const requireFolder = () => this.#root.requireFolder(dirname(path), 'FOLDER_NOT_FOUND')
      if (isByName) await requireFolder()
      const ensureFolder = isByName ? requireFolder : () => this.#root.createParents(id)
      return fileEntry(id, await uploadFile(this.#root, this.#locks, path, ensureFolder, source, call), true)
    }
    return uploadFrom(body, call, (source) => mapErrors(call, 'FOLDER_NOT_FOUND', () => upload(source)))
  }

  async remove(id: string, call: Call): Promise<void> {
    await mapErrors(call, 'OBJECT_NOT_FOUND', async () => {
      const path = this.#root.filePathOf(id)
      await this.#locks.run(path, async () => {
        try {
          await this.#root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
          if ((await lstat(path)).isFile()) await unlink(path)
        } catch (error) {
          if (!isNotFound(error) && !isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
        }
      })
    })
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    return mapErrors(call, 'FOLDER_NOT_FOUND', async () => {
      const id = `${this.#root.childId(parentId, name)}/`
      const path = this.#root.folderPathOf(id)
      await this.#root.requireFolder(dirname(path), 'FOLDER_NOT_FOUND')
      await mkdir(path, { mode: 0o700 })
      await this.#root.syncFolderOf(path)
      return folderEntry(id, await lstat(path, { bigint: true }), true)
    })
  }

  async account(call: Call): Promise<Account> {
    return mapErrors(call, 'FOLDER_NOT_FOUND', async () => {
      await this.#root.requireFolder(this.#root.path, 'FOLDER_NOT_FOUND')
      return { id: 'disk', name: 'Disk', email: null, quota: null }
    })
  }

  async #openDownload(file: FileHandle, name: string, { range, signal }: DownloadCall): Promise<Download> {
    const stats = await file.stat({ bigint: true })
    if (!stats.isFile()) throw notFoundError('OBJECT_NOT_FOUND')
    const size = Number(stats.size)
    const resolvedRange = range === undefined ? null : resolveRange(range, size)
    const { start, end } = resolvedRange ?? { start: 0, end: size - 1 }
    signal.throwIfAborted()
    // Without `end` for an empty file, which has no last byte.
    const source = file.createReadStream(size === 0 ? {} : { start, end })
    return {
      body: new TransferBody(source, {
        expected: end - start + 1,
        idleMs: this.#timeouts.idleMs,
        signal,
        toError: (error) => toStorageError(error, 'OBJECT_NOT_FOUND')
      }),
      size,
      range: resolvedRange,
      mimeType: null,
      name,
      etag: versionOf(stats),
      modifiedAt: modifiedAt(stats)
    }
  }
}

/** Runs the work and maps its errors to StorageErrors. Rejects with the signal's reason after an abort. */
async function mapErrors<T>({ signal }: Call, missing: NotFoundCode, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  try {
    return await work()
  } catch (error) {
    signal.throwIfAborted()
    throw toStorageError(error, missing)
  }
}
