import type { Account, Call, Capabilities } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { AuthorizationServer } from '../../core/oauth.ts'
import { defineProvider, type OAuthProvider } from '../../core/provider.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { createBackend, type Operations } from '../shared/backend.ts'
import { failure } from '../shared/errors.ts'
import { changes, position } from './changes.ts'
import { downloadFile } from './download.ts'
import { FILE_FIELDS, FOLDER, type ItemId, parseFolderId, parseId, quotaOf } from './entries.ts'
import { findByName, listFolder } from './list.ts'
import {
  type DriveOrigins,
  type DriveSession,
  ensureRootId,
  getItem,
  openSession,
  requireParentFolder,
  storeRootId,
  toEntry
} from './session.ts'
import { withTargetStates } from './shortcuts.ts'
import { uploadFile } from './upload.ts'

/** Google's listings may be up to this much older than its log of changes (googleapis/google-api-go-client#906). */
const SETTLE_MS = 10_000

/** The endpoints of the service. */
export interface DriveEndpoints extends DriveOrigins {
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
    settleMs: SETTLE_MS,
    checkFolderId: (id) => void parseFolderId(id),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['https://www.googleapis.com/auth/drive.readonly'],
      // Google issues a refresh token at the first consent only, unless the prompt is forced.
      authorizationParameters: { access_type: 'offline', prompt: 'consent' }
    },
    open: async (context) => createBackend(OPERATIONS, await openSession(endpoints, context))
  })
}

const CAPABILITIES: Capabilities = {
  paging: 'native',
  kindFilter: 'native',
  rangeDownload: 'native',
  upload: 'native',
  createOnly: 'emulated',
  updateIfMatch: 'emulated',
  atomicReplace: 'native',
  remove: 'native',
  createFolder: 'emulated',
  downloadUrl: 'unsupported',
  changes: 'native'
}

const OPERATIONS: Operations<DriveSession, ItemId, ItemId> = {
  provider: 'google_drive',
  capabilities: CAPABILITIES,
  parseId,
  parseFolderId,
  listFolder,
  stat,
  download: downloadFile,
  upload: uploadFile,
  remove,
  createFolder,
  account,
  position,
  changes
}

async function stat(session: DriveSession, itemId: ItemId, call: Call): Promise<Entry> {
  const entry = await toEntry(session, await getItem(session, itemId, call, 'OBJECT_NOT_FOUND'), call)
  const [resolved = entry] = await withTargetStates(session, [entry], call)
  return resolved
}

/** Moves a file to the trash. Google would also remove a folder with its content, so the type is checked first. */
async function remove(session: DriveSession, itemId: ItemId, call: Call): Promise<void> {
  const missing = 'OBJECT_NOT_FOUND'
  const parameters = { fileId: itemId.id, supportsAllDrives: true, fields: 'id', requestBody: { trashed: true } }
  try {
    const { mimeType } = await getItem(session, itemId, call, missing)
    if (mimeType === FOLDER) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    await session.client.call({ signal: call.signal, missing, itemId }, (drive, options) =>
      drive.files.update(parameters, options)
    )
  } catch (error) {
    if (!isStorageError(error, missing)) throw error
  }
}

/** Drive allows several folders of the same name, so concurrent calls may both create one. */
async function createFolder(session: DriveSession, parent: ItemId, name: string, call: Call): Promise<Entry> {
  await requireParentFolder(session, parent, call)
  const others = await findByName(session, parent, name, call)
  if (others.some(({ kind }) => kind === 'folder')) throw failure('ALREADY_EXISTS')
  await ensureRootId(session, parent, call)
  const { client, driveIndex } = session
  const requestBody = { name, mimeType: FOLDER, parents: [parent.id] }
  const parameters = { supportsAllDrives: true, fields: FILE_FIELDS, requestBody }
  const folder = await client.call(
    { signal: call.signal, missing: 'FOLDER_NOT_FOUND', itemId: parent },
    (drive, options) => drive.files.create(parameters, options)
  )
  driveIndex.updateFromFile(folder)
  storeRootId(session, parent, folder)
  return toEntry(session, folder, call)
}

/** Returns the current user. */
async function account({ client }: DriveSession, { signal }: Call): Promise<Account> {
  const fields = 'user(displayName,emailAddress,permissionId),storageQuota'
  const { user, storageQuota } = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
    drive.about.get({ fields }, options)
  )
  const { permissionId, displayName, emailAddress } = user ?? {}
  if (typeof permissionId !== 'string' || permissionId === '') {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no account id')
  }
  return {
    id: permissionId,
    name: displayName || emailAddress || permissionId,
    email: emailAddress || null,
    quota: quotaOf(storageQuota)
  }
}

export const provider: OAuthProvider = googleDrive()
