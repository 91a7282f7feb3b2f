import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
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
import { createEgressFetch } from '../../net/egress.ts'
import { withBearer } from '../shared/bearer.ts'
import { failure } from '../shared/errors.ts'
import { importSdk } from '../shared/import-sdk.ts'
import { requireName } from '../shared/names.ts'
import { DriveClient } from './client.ts'
import { downloadFile } from './download.ts'
import { FOLDER, parseId, readSize } from './entries.ts'
import { listFolder } from './list.ts'
import { FILE_FIELDS } from './query.ts'
import { type DriveSession, storeRootId, getItem, DriveIndex, ensureRootId, toEntry } from './session.ts'
import { withTargetStates } from './shortcuts.ts'
import { requireParentFolder, findByName, uploadFile } from './upload.ts'

/** The endpoints of the service. */
export interface DriveEndpoints {
  /** The origin of the API, including uploads. */
  readonly api: string
  /** Origins besides the API's that serve rendered videos. They receive the user's access token. */
  readonly contentOrigins?: readonly string[]
  /** Hosts that serve rendered videos without an access token, in the format of `pinnedUrl`. */
  readonly contentHosts?: readonly string[]
  readonly server: AuthorizationServer
}

const GOOGLE: DriveEndpoints = {
  api: 'https://www.googleapis.com',
  // Google documents that the download URL needs authorization, but not its host.
  contentOrigins: ['https://drive.usercontent.google.com', 'https://docs.google.com'],
  contentHosts: ['*.usercontent.google.com', '*.googleusercontent.com'],
  server: {
    issuer: 'https://accounts.google.com',
    authorizationEndpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
    tokenEndpoint: 'https://oauth2.googleapis.com/token',
    revocationEndpoint: 'https://oauth2.googleapis.com/revoke'
  }
}

/** My Drive of a Google account, and the shared drives of which the account is a member. */
export function googleDrive(endpoints: DriveEndpoints = GOOGLE): OAuthProvider {
  return defineProvider({
    id: 'google_drive',
    label: 'Google Drive',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['https://www.googleapis.com/auth/drive.readonly'],
      // Google issues a refresh token at the first consent only, unless the prompt is forced.
      authorizationParameters: { access_type: 'offline', prompt: 'consent' }
    },
    open: (context) => openDrive(endpoints, context)
  })
}

/** Google retains an operation for at least 12 hours. */
const DOWNLOAD_OPERATION_TTL_MS = 11 * 3_600_000
const MAX_DOWNLOAD_OPERATIONS = 100

/**
 * Opens a connection without making a request.
 *
 * Imports only the Drive module: all of `googleapis` blocks the event loop for seconds. `index.js` is faster than
 * `v3.js`, although it loads v2 too: Node parses a module for its exports, and `v3.js` is large (Node 20, 2026-11).
 */
export async function openDrive(
  {
    api,
    contentOrigins = [],
    contentHosts = []
  }: {
    readonly api: string
    readonly contentOrigins?: readonly string[]
    readonly contentHosts?: readonly string[]
  },
  { accessTokens, egress, timeouts }: OAuthOpenContext
): Promise<StorageBackend> {
  const { drive_v3: sdk } = await importSdk('googleapis', () => import('googleapis/build/src/apis/drive/index.js'))
  const { origin } = new URL(api)
  const send = withBearer(egress, accessTokens, [origin, ...contentOrigins])
  const drive = new sdk.Drive({
    rootUrl: `${origin}/`,
    // Otherwise the environment may set another.
    universeDomain: 'googleapis.com',
    fetchImplementation: createEgressFetch(send),
    // Unused by our fetch. With an agent set, the SDK does not read a proxy from the environment.
    agent: egress.agents.https,
    // Retries are a layer of ours; Google's own ignores `Retry-After`.
    retry: false,
    responseType: 'json',
    // Error responses are distinguished by their reason, not by the text of an exception.
    validateStatus: () => true
  })
  return new GoogleDriveBackend({
    client: new DriveClient(drive, origin),
    driveIndex: new DriveIndex(),
    downloadOperations: new LRUCache({ max: MAX_DOWNLOAD_OPERATIONS, ttl: DOWNLOAD_OPERATION_TTL_MS }),
    origin,
    contentOrigins,
    contentHosts,
    send,
    egress,
    timeouts
  })
}

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
  readonly #session: DriveSession

  constructor(session: DriveSession) {
    this.#session = session
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    call.signal.throwIfAborted()
    return listFolder(this.#session, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    call.signal.throwIfAborted()
    const file = await getItem(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call, 'OBJECT_NOT_FOUND')
    const entry = await toEntry(this.#session, file, call)
    const [resolved = entry] = await withTargetStates(this.#session, [entry], call)
    return resolved
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    call.signal.throwIfAborted()
    return downloadFile(this.#session, parseId(id, 'OBJECT_NOT_FOUND'), call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFile(this.#session, target, body, call)
  }

  /** Moves a file to the trash. Google would also remove a folder with its content, so the type is checked first. */
  async remove(id: string, call: Call): Promise<void> {
    call.signal.throwIfAborted()
    const { client } = this.#session
    const itemId = parseId(id, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: itemId.id, supportsAllDrives: true, fields: 'id', requestBody: { trashed: true } }
    try {
      const { mimeType } = await getItem(this.#session, itemId, call, 'OBJECT_NOT_FOUND')
      if (mimeType === FOLDER) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      await client.call({ signal: call.signal, missing: 'OBJECT_NOT_FOUND', itemId }, (drive, options) =>
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
    const parent = await requireParentFolder(this.#session, parentId, call)
    const others = await findByName(this.#session, parent, name, call)
    if (others.some(({ kind }) => kind === 'folder')) throw failure('ALREADY_EXISTS')
    await ensureRootId(this.#session, parent, call)
    const requestBody = { name, mimeType: FOLDER, parents: [parent.id] }
    const parameters = { supportsAllDrives: true, fields: FILE_FIELDS, requestBody }
    const { client, driveIndex } = this.#session
    const request = { signal: call.signal, missing: 'FOLDER_NOT_FOUND', itemId: parent } as const
    const folder = await client.call(request, (drive, options) => drive.files.create(parameters, options))
    driveIndex.updateFromFile(folder)
    storeRootId(this.#session, parent, folder)
    return toEntry(this.#session, folder, call)
  }

  async account(call: Call): Promise<Account> {
    call.signal.throwIfAborted()
    return readAccount(this.#session, call)
  }
}

/** Returns the current user. A quota without a limit belongs to an organisation with unlimited or pooled storage. */
export async function readAccount({ client }: DriveSession, { signal }: Call): Promise<Account> {
  const fields = 'user(displayName,emailAddress,permissionId),storageQuota'
  const { user, storageQuota } = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
    drive.about.get({ fields }, options)
  )
  const { permissionId, displayName, emailAddress } = user ?? {}
  if (typeof permissionId !== 'string' || permissionId === '') {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no account id')
  }
  const used = readSize(storageQuota?.usage)
  return {
    id: permissionId,
    name: displayName || emailAddress || permissionId,
    email: emailAddress || null,
    quota: used === null ? null : { used, total: readSize(storageQuota?.limit) }
  }
}

export const provider: OAuthProvider = googleDrive()
