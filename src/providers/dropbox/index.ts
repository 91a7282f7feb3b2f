import type { Readable } from 'node:stream'
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
} from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import type { AuthorizationServer, RevokeContext } from '../../core/oauth.ts'
import { defineProvider, type OAuthOpenContext, type OAuthProvider } from '../../core/provider.ts'
import type { Secret } from '../../core/secret.ts'
import { withBearer } from '../shared/bearer.ts'
import { failure } from '../shared/errors.ts'
import { asObject, readErrorBody, RestClient, sizeOf, textOf } from '../shared/rest-client.ts'
import { DropboxClient, withMissingScope } from './client.ts'
import { downloadFile, getTemporaryLink } from './download.ts'
import { type Metadata, parseId, toEntry } from './entries.ts'
import { dropboxFailure } from './errors.ts'
import { listFolder } from './list.ts'
import { createFolder, type DropboxSession, getItem, getParentId, removeFile } from './session.ts'
import { uploadFile } from './upload.ts'

/** The endpoints of the service, including those of the authorization server. */
export interface DropboxEndpoints extends DropboxOrigins {
  readonly server: AuthorizationServer
}

const DROPBOX: DropboxEndpoints = {
  api: 'https://api.dropboxapi.com',
  content: 'https://content.dropboxapi.com',
  linkHosts: ['*.dropboxusercontent.com', '*.dropbox.com'],
  server: {
    issuer: 'https://www.dropbox.com',
    authorizationEndpoint: 'https://www.dropbox.com/oauth2/authorize',
    tokenEndpoint: 'https://api.dropboxapi.com/oauth2/token'
  }
}

/** The Dropbox of a user, including the team space if the user's team has one. */
export function dropbox(endpoints: DropboxEndpoints = DROPBOX): OAuthProvider {
  return defineProvider({
    id: 'dropbox',
    label: 'Dropbox',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['account_info.read', 'files.metadata.read', 'files.content.read'],
      // Required for a refresh token (Dropbox's "OAuth Guide").
      authorizationParameters: { token_access_type: 'offline' },
      revoke: (accessToken, context) => revokeToken(endpoints.api, accessToken, context)
    },
    open: async (context) => openDropbox(endpoints, context)
  })
}

/** The origins of the service. */
export interface DropboxOrigins {
  /** The origin of the metadata API. */
  readonly api: string
  /** The origin for uploads and downloads. */
  readonly content: string
  /** Allowed hosts of temporary links, in the format of `pinnedUrl`. */
  readonly linkHosts: readonly string[]
}

/** Opens a connection without making a request. The path root is requested before the first call that needs it. */
export function openDropbox(
  { api, content, linkHosts }: DropboxOrigins,
  { accessTokens, egress, timeouts }: OAuthOpenContext
): StorageBackend {
  const origins = [new URL(api).origin, new URL(content).origin]
  const { idleMs } = timeouts
  const send = withBearer(withMissingScope(egress, idleMs), accessTokens, origins)
  const rest = new RestClient(send, idleMs, dropboxFailure)
  return new DropboxBackend({ client: new DropboxClient({ rest, api, content, idleMs }), linkHosts, timeouts })
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
  downloadUrl: 'emulated'
}

/** The files of a Dropbox user. All items except the root have ids, which survive moves. */
export class DropboxBackend implements StorageBackend {
  readonly provider = 'dropbox'
  readonly capabilities = CAPABILITIES
  readonly #session: DropboxSession

  constructor(session: DropboxSession) {
    this.#session = session
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#session, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const metadata = await getItem(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND')
    return toEntry(metadata, await getParentId(this.#session, metadata, call))
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#session, target, body, call)
  }

  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    return removeFile(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    return createFolder(this.#session, parentId, name, call)
  }

  async downloadUrl(id: string, call: DownloadUrlCall): Promise<DownloadUrl> {
    call.signal.throwIfAborted()
    return getTemporaryLink(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#session, call)
  }
}

/** Returns the current user. Also updates the path root from the response. */
export async function readAccount({ client }: DropboxSession, call: Call): Promise<Account> {
  const account = await client.user('get_current_account', call)
  const id = textOf(account['account_id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Dropbox returned no account id')
  client.root.updateFromAccount(account)
  const space = await client.user('get_space_usage', call)
  const email = textOf(account['email'])
  const name = textOf(asObject(account['name'])['display_name'])
  return {
    id,
    name: name ?? email ?? id,
    email,
    quota: quotaOf(space)
  }
}

/** Team members share the team's space. A member's own limit applies if it blocks uploads. */
function quotaOf({ used, allocation }: Metadata): Account['quota'] {
  const space = asObject(allocation)
  const ownUse = sizeOf(used)
  const total = sizeOf(space['allocated'])
  if (space['.tag'] !== 'team') return ownUse === null ? null : { used: ownUse, total }
  const ownLimit = sizeOf(space['user_within_team_space_allocated']) ?? 0
  const isLimited = asObject(space['user_within_team_space_limit_type'])['.tag'] === 'stop_sync'
  if (ownLimit > 0 && isLimited && ownUse !== null) return { used: ownUse, total: ownLimit }
  const teamUse = sizeOf(space['used'])
  return teamUse === null ? null : { used: teamUse, total }
}

/** Error responses are short. */
const MAX_BODY_BYTES = 64 * 1024
const BODY_TIMEOUT_MS = 5000

/**
 * Revokes a grant. Dropbox revokes the refresh token from which the access token was issued (`auth/token/revoke`).
 *
 * @param api the origin of the API
 * @throws StorageError if Dropbox does not revoke it; a token that is already invalid is not an error
 */
export async function revokeToken(
  api: string,
  accessToken: Secret<string>,
  { egress, signal }: RevokeContext
): Promise<void> {
  const response = await egress.request({
    method: 'POST',
    url: new URL('/2/auth/token/revoke', api),
    headers: { authorization: `Bearer ${accessToken.reveal()}`, 'content-type': 'application/json' },
    body: 'null',
    signal,
    maxBytes: MAX_BODY_BYTES
  })
  if (response.status === 200 || response.status === 401) {
    await response.discard()
    return
  }
  throw dropboxFailure('POST', response, await readErrorBody(response, BODY_TIMEOUT_MS), 'OBJECT_NOT_FOUND')
}

export const provider: OAuthProvider = dropbox()
