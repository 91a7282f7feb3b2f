import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
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
import { providerFailure } from '../../errors.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { requireMediaType } from '../shared/upload.ts'
import { requireLimit } from '../shared/paging.ts'
import { nameOf } from '../shared/names.ts'
import { uploadFrom, type UploadSource } from '../shared/upload.ts'
import { downloadFile } from './download.ts'
import { find } from './upload.ts'
import { type DavServer, look } from './session.ts'
import type { DavTarget } from './upload.ts'

/** The differences between the services that use WebDAV. */
export interface DavDialect {
  readonly provider: string
  readonly capabilities: Capabilities
  /** @param folderId validated: `null` or the id of a folder */
  readonly list: (server: DavServer, folderId: string | null, call: ListCall) => Promise<EntryPage>
  readonly upload: (server: DavServer, target: DavTarget, source: UploadSource, call: UploadCall) => Promise<Entry>
  readonly account: (server: DavServer, call: Call) => Promise<Account>
}

/** A folder of a WebDAV server with everything below it. */
export class DavBackend implements StorageBackend {
  readonly provider: string
  readonly capabilities: Capabilities
  readonly #server: DavServer
  readonly #dialect: DavDialect

  constructor(server: DavServer, dialect: DavDialect) {
    this.provider = dialect.provider
    this.capabilities = dialect.capabilities
    this.#server = server
    this.#dialect = dialect
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    requireLimit(call.limit)
    const { paths } = this.#server
    paths.folderUrlOf(folderId)
    return this.#dialect.list(this.#server, folderId === null ? null : paths.listed(folderId), call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const { paths } = this.#server
    const { resource, facts } = await look(this.#server, paths.urlOf(id), call, 'OBJECT_NOT_FOUND')
    // Servers find a folder without its slash, and a file with one. As ids the two differ.
    if (facts.isCollection !== id.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
    return this.#server.toEntry(await this.#server.listedId(id, call), resource, facts)
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    const url = this.#server.paths.urlOf(id)
    if (id.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
    return { ...(await downloadFile(this.#server, url, call)), name: nameOf(id) }
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFrom(body, call, async (source) => {
      const { paths } = this.#server
      const id = 'id' in target ? paths.listed(target.id) : paths.childId(target.parentId, target.name)
      if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
      requireMediaType(target.mimeType)
      return this.#dialect.upload(this.#server, { id, url: paths.urlOf(id), mimeType: target.mimeType }, source, call)
    })
  }

  /** A DELETE also removes a folder with its content, whatever its URL looks like, so the type is checked first. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { client, paths } = this.#server
    const url = paths.urlOf(id)
    const found = id.endsWith('/') ? undefined : await find(this.#server, url, call)
    if (found === null) return
    if (found?.facts.isCollection !== false) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    const answer = await client.send({ method: 'DELETE', url, signal: call.signal })
    await answer.discard()
    if (![200, 202, 204, 404, 410].includes(answer.status)) throw httpFailure('DELETE', answer, 'OBJECT_NOT_FOUND')
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const { client, paths } = this.#server
    const id = `${paths.childId(parentId, name)}/`
    const url = paths.urlOf(id)
    const exists = providerFailure('ALREADY_EXISTS')
    // RFC 4918 forbids creating an existing folder; rclone's server (1.60) reports success.
    if ((await find(this.#server, url, call)) !== null) throw exists
    const answer = await client.send({ method: 'MKCOL', url, signal: call.signal })
    await answer.discard()
    // A server that creates no folders at all returns the same status.
    if (answer.status === 405 && (await find(this.#server, paths.urlOf(id.slice(0, -1)), call)) !== null) throw exists
    if (answer.status === 409) throw failure('FOLDER_NOT_FOUND')
    if (answer.status !== 200 && answer.status !== 201) throw httpFailure('MKCOL', answer, 'FOLDER_NOT_FOUND')
    const { resource, facts } = await look(this.#server, url, call, 'OBJECT_NOT_FOUND')
    return this.#server.toEntry(await this.#server.listedId(id, call), resource, facts)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return this.#dialect.account(this.#server, call)
  }
}
