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
import { kindOf } from './entries.ts'
import { parseId, parseItemId, pathOf, ROOT } from './ids.ts'
import { listFolder } from './listing.ts'
import { type GraphServer, look, ownDriveId, statItem, throughShortcut, toEntry } from './server.ts'
import { lookAtSite } from './sites.ts'
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

/** Lists and transfers the files that a Microsoft account can access in OneDrive and SharePoint. */
export class OneDriveBackend implements StorageBackend {
  readonly provider = 'onedrive'
  readonly capabilities = CAPABILITIES
  readonly #server: GraphServer

  constructor(server: GraphServer) {
    this.#server = server
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#server, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const parsed = parseId(id, 'OBJECT_NOT_FOUND')
    return 'site' in parsed ? lookAtSite(this.#server, parsed, call) : statItem(this.#server, parsed, call)
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#server, parseItemId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#server, target, body, call)
  }

  /** Moves a file to the recycle bin. Checks the kind first: Graph would also remove a folder with its content. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { signal } = call
    const item = parseItemId(id, 'OBJECT_NOT_FOUND')
    const missing = 'OBJECT_NOT_FOUND'
    try {
      const kind = kindOf(await look(this.#server, item, call, missing))
      if (kind !== 'file' && kind !== 'shortcut')
        throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      const url = apiUrl(this.#server.origin, pathOf(item))
      const answer = await this.#server.rest.ask({ method: 'DELETE', url, signal, missing })
      await answer.discard()
    } catch (error) {
      if (!isStorageError(error, missing)) throw error
    }
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    requireName(name)
    const parent = parseItemId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
    const isOwn = parent.drive === null
    // Find the user's own drive before the write, since the entry needs it: a completed write must not fail.
    if (!isOwn) await ownDriveId(this.#server, call)
    const missing = 'FOLDER_NOT_FOUND'
    const folder = await throughShortcut(this.#server, parent, call, missing, (at) =>
      this.#server.rest.json({
        method: 'POST',
        url: apiUrl(this.#server.origin, `${pathOf(at)}/children`),
        signal: call.signal,
        json: { name, folder: {}, '@microsoft.graph.conflictBehavior': 'fail' },
        missing
      })
    )
    this.#server.own.learn(folder, { isOwn })
    return toEntry(this.#server, folder, call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#server, call)
  }
}
