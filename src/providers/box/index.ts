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
import type { AuthorizationServer } from '../../core/oauth.ts'
import { defineProvider, type OAuthOpenContext, type OAuthProvider } from '../../core/provider.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { withBearer } from '../shared/bearer.ts'
import { failure } from '../shared/errors.ts'
import { requireName } from '../shared/names.ts'
import { apiUrl, RestClient, textOf } from '../shared/rest-client.ts'
import { downloadFile } from './download.ts'
import { boxEntry, fieldsOf, parseFolderId, parseId, pathOf } from './entries.ts'
import { boxFailure } from './errors.ts'
import { listFolder } from './list.ts'
import { type BoxSession, getItem } from './session.ts'
import { uploadFile } from './upload.ts'

/** The endpoints of the service. */
export interface BoxEndpoints extends BoxOrigins {
  readonly server: AuthorizationServer
}

const BOX: BoxEndpoints = {
  api: 'https://api.box.com',
  upload: 'https://upload.box.com',
  contentHosts: ['*.boxcloud.com', '*.box.com'],
  server: {
    issuer: 'https://account.box.com',
    authorizationEndpoint: 'https://account.box.com/api/oauth2/authorize',
    tokenEndpoint: 'https://api.box.com/oauth2/token',
    revocationEndpoint: 'https://api.box.com/oauth2/revoke'
  }
}

/** All files of a Box account. */
export function box(endpoints: BoxEndpoints = BOX): OAuthProvider {
  return defineProvider({
    id: 'box',
    label: 'Box',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseFolderId(id),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      // Scopes are set in Box's developer console. Without a `scope` parameter, Box grants all of them.
      scopes: []
    },
    open: async (context) => openBox(endpoints, context)
  })
}

/** The origins of the service. */
export interface BoxOrigins {
  /** The origin of the API. */
  readonly api: string
  /** The origin for uploads. */
  readonly upload: string
  /** Sources of downloads: origins, and hosts over https (`content.example.org`, `*.example.org`). */
  readonly contentHosts: readonly string[]
}

/** Opens a connection without making a request. */
export function openBox(origins: BoxOrigins, context: OAuthOpenContext): StorageBackend {
  const { accessTokens, egress, timeouts, spool } = context
  const [origin, uploadOrigin] = [new URL(origins.api).origin, new URL(origins.upload).origin]
  const send = withBearer(egress, accessTokens, [origin, uploadOrigin])
  const client = new RestClient(send, timeouts.idleMs, boxFailure)
  const session: BoxSession = {
    client,
    origin,
    uploadOrigin,
    contentHosts: origins.contentHosts,
    egress,
    timeouts,
    spool
  }
  return new BoxBackend(session)
}

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
  readonly #session: BoxSession

  constructor(session: BoxSession) {
    this.#session = session
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#session, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    return boxEntry(await getItem(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND'))
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#session, target, body, call)
  }

  /** Moves the file to the trash or deletes it permanently, depending on the enterprise's settings. */
  async remove(id: string, call: Call): Promise<void> {
    const { signal } = call
    signal.throwIfAborted()
    const itemId = parseId(id, 'OBJECT_NOT_FOUND')
    if (itemId.type === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    const url = apiUrl(this.#session.origin, pathOf(itemId))
    try {
      const response = await this.#session.client.request({
        method: 'DELETE',
        url,
        signal,
        missing: 'OBJECT_NOT_FOUND'
      })
      await response.discard()
    } catch (error) {
      if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
    }
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    const { signal } = call
    signal.throwIfAborted()
    requireName(name)
    const parent = parseFolderId(parentId)
    const folder = await this.#session.client.json({
      method: 'POST',
      url: apiUrl(this.#session.origin, '/2.0/folders', { fields: fieldsOf('folder') }),
      signal,
      json: { name, parent: { id: parent.id } },
      missing: 'FOLDER_NOT_FOUND'
    })
    return boxEntry(folder)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#session, call)
  }
}

/** The quota in bytes that Box reports for some accounts without a limit, instead of -1 (seen; not documented). */
const UNLIMITED = 999_999_999_999_999

/** Returns the current user. */
export async function readAccount(session: BoxSession, { signal }: Call): Promise<Account> {
  const url = apiUrl(session.origin, '/2.0/users/me', { fields: 'id,name,login,space_amount,space_used' })
  const { id, ...user } = await session.client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' })
  if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Box returned no account id')
  const email = textOf(user['login'])
  const used = readBytes(user['space_used'])
  const amount = readBytes(user['space_amount'])
  return {
    id,
    name: textOf(user['name']) ?? email ?? id,
    email,
    quota: used === null ? null : { used, total: amount !== null && amount < UNLIMITED ? amount : null }
  }
}

/** Accepts numbers beyond the exact range: a quota need not be exact to the byte. */
function readBytes(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
}

export const provider: OAuthProvider = box()
