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
import type { FeedPage, PageFreshness } from '../../core/change-feed.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { requireLimit } from '../shared/backend.ts'
import { requireMediaType, uploadFrom, type UploadSource } from '../shared/upload.ts'
import { downloadFile } from './download.ts'
import { type DavSession, findResource, getResource, toListedEntry } from './session.ts'
import type { DavTarget } from './upload.ts'

/** The differences between the services that use WebDAV. */
export interface DavDialect {
  readonly provider: string
  readonly capabilities: Capabilities
  /** @param folderId validated: `null` or the id of a folder */
  readonly list: (session: DavSession, folderId: string | null, call: ListCall) => Promise<EntryPage>
  readonly upload: (session: DavSession, target: DavTarget, source: UploadSource, call: UploadCall) => Promise<Entry>
  readonly account: (session: DavSession, call: Call) => Promise<Account>
  /** Absent if the service cannot confirm listings. */
  readonly feed?: DavFeed
}

/** How a service confirms listings. Folder ids are validated. */
export interface DavFeed {
  readonly position: (session: DavSession, scope: string, call: Call) => Promise<string>
  readonly changes: (session: DavSession, scope: string, position: string, call: Call) => Promise<FeedPage>
  readonly isCurrent: (session: DavSession, folderId: string | null, mark: string, call: Call) => Promise<boolean>
  readonly waitForChange: (session: DavSession, freshness: PageFreshness, call: Call) => Promise<boolean>
}

/** A folder of a WebDAV server with everything below it. */
export class DavBackend implements StorageBackend {
  readonly provider: string
  readonly capabilities: Capabilities
  readonly position?: NonNullable<StorageBackend['position']>
  readonly changes?: NonNullable<StorageBackend['changes']>
  readonly isCurrent?: NonNullable<StorageBackend['isCurrent']>
  readonly waitForChange?: NonNullable<StorageBackend['waitForChange']>
  readonly #session: DavSession
  readonly #dialect: DavDialect

  constructor(session: DavSession, dialect: DavDialect) {
    const { feed } = dialect
    this.provider = dialect.provider
    this.capabilities = dialect.capabilities
    this.#session = session
    this.#dialect = dialect
    if (feed === undefined) return
    this.position = async (scope, call) => {
      call.signal.throwIfAborted()
      return feed.position(session, scope, call)
    }
    this.changes = async (scope, position, call) => {
      call.signal.throwIfAborted()
      return feed.changes(session, scope, position, call)
    }
    this.isCurrent = async (folderId, mark, call) => {
      call.signal.throwIfAborted()
      session.paths.folderUrlOf(folderId)
      return feed.isCurrent(session, folderId, mark, call)
    }
    this.waitForChange = async (freshness, call) => {
      call.signal.throwIfAborted()
      return feed.waitForChange(session, freshness, call)
    }
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    requireLimit(call.limit)
    const { paths } = this.#session
    paths.folderUrlOf(folderId)
    return this.#dialect.list(this.#session, folderId === null ? null : paths.normalize(folderId), call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const { paths } = this.#session
    const item = await getResource(this.#session, paths.urlOf(id), call, 'OBJECT_NOT_FOUND')
    // Servers find a folder without its slash, and a file with one. As ids the two differ.
    if (item.metadata.isCollection !== id.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
    return toListedEntry(this.#session, id, item, call)
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#session, id, call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFrom(body, call, async (source) => {
      const { paths } = this.#session
      const id = 'id' in target ? paths.normalize(target.id) : paths.childId(target.parentId, target.name)
      if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
      requireMediaType(target.mimeType)
      return this.#dialect.upload(this.#session, { id, url: paths.urlOf(id), mimeType: target.mimeType }, source, call)
    })
  }

  /** A DELETE also removes a folder with its content, whatever its URL looks like, so the type is checked first. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { client, paths } = this.#session
    const url = paths.urlOf(id)
    const existing = id.endsWith('/') ? undefined : await findResource(this.#session, url, call)
    if (existing === null) return
    if (existing?.metadata.isCollection !== false)
      throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    const response = await client.send({ method: 'DELETE', url, signal: call.signal })
    await response.discard()
    if (![200, 202, 204, 404, 410].includes(response.status)) throw httpFailure('DELETE', response, 'OBJECT_NOT_FOUND')
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const { client, paths } = this.#session
    const id = `${paths.childId(parentId, name)}/`
    const url = paths.urlOf(id)
    const alreadyExists = failure('ALREADY_EXISTS')
    // RFC 4918 forbids creating an existing folder; rclone's server (1.60) reports success.
    if ((await findResource(this.#session, url, call)) !== null) throw alreadyExists
    const response = await client.send({ method: 'MKCOL', url, signal: call.signal })
    await response.discard()
    // A server that creates no folders at all returns the same status.
    if (response.status === 405 && (await findResource(this.#session, paths.urlOf(id.slice(0, -1)), call)) !== null)
      throw alreadyExists
    if (response.status === 409) throw failure('FOLDER_NOT_FOUND')
    if (response.status !== 200 && response.status !== 201) throw httpFailure('MKCOL', response, 'FOLDER_NOT_FOUND')
    return toListedEntry(this.#session, id, await getResource(this.#session, url, call, 'OBJECT_NOT_FOUND'), call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return this.#dialect.account(this.#session, call)
  }
}
