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
import { requireName } from '../shared/file-name.ts'
import { failure } from '../shared/http-failure.ts'
import { readAccount } from './account.ts'
import { downloadFile } from './download.ts'
import { parseId } from './ids.ts'
import { listFolder } from './listing.ts'
import { FOLDER } from './media-types.ts'
import { checkedParent, namesakes } from './names.ts'
import { FILE_FIELDS } from './query.ts'
import { type DriveServer, learnRoot, look, rootIdFor, toEntry } from './server.ts'
import { withTargets } from './shortcuts.ts'
import { uploadFile } from './upload.ts'

export const CAPABILITIES: Capabilities = {
  paging: 'native',
  kindFilter: 'native',
  rangeDownload: 'native',
  upload: 'native',
  createOnly: 'emulated',
  updateIfMatch: 'emulated',
  atomicReplace: 'native',
  remove: 'native',
  createFolder: 'emulated',
  downloadUrl: 'unsupported'
}

/** Lists and transfers the files that a Google account can access in Drive. */
export class GoogleDriveBackend implements StorageBackend {
  readonly provider = 'google_drive'
  readonly capabilities = CAPABILITIES
  readonly #server: DriveServer

  constructor(server: DriveServer) {
    this.#server = server
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#server, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const file = await look(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND')
    const entry = await toEntry(this.#server, file, call)
    const [resolved = entry] = await withTargets(this.#server, [entry], call)
    return resolved
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#server, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#server, target, body, call)
  }

  /** Moves a file to the trash. Google would also remove a folder with its content, so the type is checked first. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { client } = this.#server
    const about = parseId(id, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: about.id, supportsAllDrives: true, fields: 'id', requestBody: { trashed: true } }
    try {
      const { mimeType } = await look(this.#server, about, call, 'OBJECT_NOT_FOUND')
      if (mimeType === FOLDER) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      await client.call({ signal: call.signal, missing: 'OBJECT_NOT_FOUND', about }, (drive, options) =>
        drive.files.update(parameters, options)
      )
    } catch (error) {
      if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
    }
  }

  /** Drive allows several folders of the same name, so concurrent calls may both create one. */
  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    requireName(name)
    const parent = await checkedParent(this.#server, parentId, call)
    const others = await namesakes(this.#server, parent, name, call)
    if (others.some(({ kind }) => kind === 'folder')) throw failure('ALREADY_EXISTS')
    await rootIdFor(this.#server, parent, call)
    const requestBody = { name, mimeType: FOLDER, parents: [parent.id] }
    const parameters = { supportsAllDrives: true, fields: FILE_FIELDS, requestBody }
    const { client, places } = this.#server
    const asked = { signal: call.signal, missing: 'FOLDER_NOT_FOUND', about: parent } as const
    const folder = await client.call(asked, (drive, options) => drive.files.create(parameters, options))
    places.learn(folder)
    learnRoot(this.#server, parent, folder)
    return toEntry(this.#server, folder, call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#server, call)
  }
}
