import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../domain/entry.ts'
import type {
  Account,
  Call,
  Capabilities,
  Download,
  DownloadCall,
  DownloadUrl,
  DownloadUrlCall,
  ListCall,
  StorageBackend,
  UploadCall,
  UploadTarget
} from '../../domain/storage-backend.ts'
import { readAccount } from './account.ts'
import { downloadFile } from './download.ts'
import { toEntry } from './entries.ts'
import { createFolder } from './folders.ts'
import { parseId } from './ids.ts'
import { temporaryLink } from './link.ts'
import { listFolder } from './listing.ts'
import { removeFile } from './remove.ts'
import { type DropboxServer, look, parentIdOf } from './server.ts'
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
  downloadUrl: 'emulated'
}

/** The files of a Dropbox user. All items except the root have ids, which survive moves. */
export class DropboxBackend implements StorageBackend {
  readonly provider = 'dropbox'
  readonly capabilities = CAPABILITIES
  readonly #server: DropboxServer

  constructor(server: DropboxServer) {
    this.#server = server
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#server, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const facts = await look(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND')
    return toEntry(facts, await parentIdOf(this.#server, facts, call))
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#server, target, body, call)
  }

  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    return removeFile(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    return createFolder(this.#server, parentId, name, call)
  }

  async downloadUrl(id: string, call: DownloadUrlCall): Promise<DownloadUrl> {
    call.signal.throwIfAborted()
    return temporaryLink(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#server, call)
  }
}
