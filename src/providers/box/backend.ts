import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../domain/entry.ts'
import { isStorageError, StorageError } from '../../domain/errors.ts'
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
} from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { requireName } from '../shared/file-name.ts'
import { readAccount } from './account.ts'
import { downloadFile } from './download.ts'
import { boxEntry, fieldsOf } from './entries.ts'
import { parseFolderId, parseId, pathOf } from './ids.ts'
import { listFolder } from './listing.ts'
import { type BoxServer, look } from './server.ts'
import { uploadFile } from './upload.ts'

export const CAPABILITIES: Capabilities = {
  paging: 'native',
  kindFilter: 'emulated',
  rangeDownload: 'native',
  upload: 'native',
  createOnly: 'native',
  updateIfMatch: 'native',
  atomicReplace: 'native',
  remove: 'native',
  createFolder: 'native',
  downloadUrl: 'unsupported'
}

/** Lists and transfers the files that a Box account can access. */
export class BoxBackend implements StorageBackend {
  readonly provider = 'box'
  readonly capabilities = CAPABILITIES
  readonly #server: BoxServer

  constructor(server: BoxServer) {
    this.#server = server
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#server, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    return boxEntry(await look(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND'))
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#server, target, body, call)
  }

  /** Moves the file to the trash or deletes it permanently, depending on the enterprise's settings. */
  async remove(id: string, call: Call): Promise<void> {
    const { signal } = call
    signal.throwIfAborted()
    const about = parseId(id, 'OBJECT_NOT_FOUND')
    if (about.type === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    const url = apiUrl(this.#server.api, pathOf(about))
    try {
      const answer = await this.#server.client.ask({ method: 'DELETE', url, signal, missing: 'OBJECT_NOT_FOUND' })
      await answer.discard()
    } catch (error) {
      if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
    }
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    const { signal } = call
    signal.throwIfAborted()
    requireName(name)
    const parent = parseFolderId(parentId)
    const folder = await this.#server.client.json({
      method: 'POST',
      url: apiUrl(this.#server.api, '/2.0/folders', { fields: fieldsOf('folder') }),
      signal,
      json: { name, parent: { id: parent.id } },
      missing: 'FOLDER_NOT_FOUND'
    })
    return boxEntry(folder)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#server, call)
  }
}
