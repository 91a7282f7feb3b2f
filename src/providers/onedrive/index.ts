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
import { apiUrl, asObject, RestClient, sizeOf, textOf } from '../shared/rest-client.ts'
import { downloadFile } from './download.ts'
import { kindOf, parseId, parseItemId, pathOf, ROOT } from './entries.ts'
import { graphFailure } from './errors.ts'
import { listFolder } from './list.ts'
import { endsGrant, scopeName } from './oauth.ts'
import {
  getOwnDrive,
  type GraphSession,
  getItem,
  OwnDrive,
  getOwnDriveId,
  statItem,
  retryOnShortcutTarget,
  toEntry
} from './session.ts'
import { getSiteEntry } from './sites.ts'
import { uploadFile } from './upload.ts'

/** The endpoints of the service. */
export interface GraphEndpoints {
  /** The origin of Microsoft Graph. */
  readonly api: string
  /**
   * Hosts of upload and download URLs, which need no token: origins, and hosts over https (`*.sharepoint.com`).
   */
  readonly contentHosts: readonly string[]
  readonly server: AuthorizationServer
}

const MICROSOFT: GraphEndpoints = {
  api: 'https://graph.microsoft.com',
  contentHosts: [
    '*.sharepoint.com',
    'api.onedrive.com',
    '*.1drv.com',
    '*.1drv.ms',
    '*.microsoftpersonalcontent.com',
    '*.svc.ms'
  ],
  server: {
    issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
    authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
    tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token'
  }
}

/** OneDrive of a Microsoft account, and the SharePoint sites that it can access. */
export function oneDrive({ api, contentHosts, server }: GraphEndpoints = MICROSOFT): OAuthProvider {
  return defineProvider({
    id: 'onedrive',
    label: 'OneDrive and SharePoint',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server,
      // Personal and organisational accounts; the registration must allow both.
      tenant: 'common',
      clientAuthentication: 'client_secret_post',
      scopes: ['offline_access', 'User.Read', 'Files.Read.All', 'Sites.Read.All'],
      authorizationParameters: { response_mode: 'query' },
      scopeName,
      endsGrant
    },
    open: async (context) => openGraph({ api, contentHosts }, context)
  })
}

/** Opens a connection without making a request. @param endpoints the API's origin, and the content hosts */
export function openGraph(
  endpoints: { readonly api: string; readonly contentHosts: readonly string[] },
  { accessTokens, egress, timeouts, spool }: OAuthOpenContext
): StorageBackend {
  const { origin } = new URL(endpoints.api)
  const send = withBearer(egress, accessTokens, [origin])
  return new OneDriveBackend({
    client: new RestClient(send, timeouts.idleMs, graphFailure),
    origin,
    egress,
    contentHosts: endpoints.contentHosts,
    timeouts,
    spool,
    ownDrive: new OwnDrive()
  })
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

/** Lists and transfers the files that a Microsoft account can access in OneDrive and SharePoint. */
export class OneDriveBackend implements StorageBackend {
  readonly provider = 'onedrive'
  readonly capabilities = CAPABILITIES
  readonly #session: GraphSession

  constructor(session: GraphSession) {
    this.#session = session
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#session, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const parsed = parseId(id, 'OBJECT_NOT_FOUND')
    return 'site' in parsed ? getSiteEntry(this.#session, parsed, call) : statItem(this.#session, parsed, call)
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#session, parseItemId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#session, target, body, call)
  }

  /** Moves a file to the recycle bin. Checks the kind first: Graph would also remove a folder with its content. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { signal } = call
    const item = parseItemId(id, 'OBJECT_NOT_FOUND')
    const missing = 'OBJECT_NOT_FOUND'
    try {
      const kind = kindOf(await getItem(this.#session, item, call, missing))
      if (kind !== 'file' && kind !== 'shortcut')
        throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      const url = apiUrl(this.#session.origin, pathOf(item))
      const response = await this.#session.client.request({ method: 'DELETE', url, signal, missing })
      await response.discard()
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
    if (!isOwn) await getOwnDriveId(this.#session, call)
    const missing = 'FOLDER_NOT_FOUND'
    const folder = await retryOnShortcutTarget(this.#session, parent, call, missing, (itemId) =>
      this.#session.client.json({
        method: 'POST',
        url: apiUrl(this.#session.origin, `${pathOf(itemId)}/children`),
        signal: call.signal,
        json: { name, folder: {}, '@microsoft.graph.conflictBehavior': 'fail' },
        missing
      })
    )
    this.#session.ownDrive.updateFromItem(folder, { isOwn })
    return toEntry(this.#session, folder, call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#session, call)
  }
}

/** Returns the user and the quota of their drive. Personal accounts have an address in `userPrincipalName` only. */
export async function readAccount(session: GraphSession, { signal }: Call): Promise<Account> {
  const url = apiUrl(session.origin, '/v1.0/me', { $select: 'id,displayName,userPrincipalName,mail' })
  const [user, drive] = await Promise.all([
    session.client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }),
    getOwnDrive(session, 'id,driveType,quota', { signal })
  ])
  const id = textOf(user['id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Graph returned no account id')
  const email = textOf(user['mail']) ?? textOf(user['userPrincipalName'])
  const { used: usedBytes, total } = asObject(drive?.['quota'])
  const used = sizeOf(usedBytes)
  return {
    id,
    name: textOf(user['displayName']) ?? email ?? id,
    email,
    // Graph reports a total of 0 for an unlimited drive.
    quota: used === null ? null : { used, total: sizeOf(total) || null }
  }
}

export const provider: OAuthProvider = oneDrive()
