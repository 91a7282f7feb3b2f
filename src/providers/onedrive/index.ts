import type { Account, Call, Capabilities } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { AuthorizationServer } from '../../core/oauth.ts'
import { defineProvider, type OAuthProvider } from '../../core/provider.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { createBackend, type Operations } from '../shared/backend.ts'
import { asObject, sizeOf, textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { waitForChange } from './announcements.ts'
import { changes, position } from './changes.ts'
import { downloadFile } from './download.ts'
import { type ItemId, kindOf, parseFolderId, parseId, pathOf, requireItem, type SiteId } from './entries.ts'
import { listFolder } from './list.ts'
import { endsGrant, scopeName } from './oauth.ts'
import {
  getItem,
  getOwnDrive,
  getOwnDriveId,
  getSiteEntry,
  type GraphOrigins,
  type GraphSession,
  openSession,
  retryOnShortcutTarget,
  statItem,
  toEntry
} from './session.ts'
import { uploadFile } from './upload.ts'

/** Graph's listings may be up to this much older than its delta, and than itself (OneDrive/onedrive-api-docs#934). */
const SETTLE_MS = 10_000

/** The endpoints of the service. */
export interface GraphEndpoints extends GraphOrigins {
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
  notificationHosts: ['*.svc.ms'],
  server: {
    issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
    authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
    tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token'
  }
}

/** OneDrive of a Microsoft account, and the SharePoint sites that it can access. */
export function oneDrive(endpoints: GraphEndpoints = MICROSOFT): OAuthProvider {
  return defineProvider({
    id: 'onedrive',
    label: 'OneDrive and SharePoint',
    capabilities: CAPABILITIES,
    settleMs: SETTLE_MS,
    checkFolderId: (id) => void parseFolderId(id),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      // Personal and organisational accounts; the registration must allow both.
      tenant: 'common',
      clientAuthentication: 'client_secret_post',
      scopes: ['offline_access', 'User.Read', 'Files.Read.All', 'Sites.Read.All'],
      authorizationParameters: { response_mode: 'query' },
      scopeName,
      endsGrant
    },
    open: async (context) => createBackend(OPERATIONS, openSession(endpoints, context))
  })
}

const CAPABILITIES: Capabilities = {
  paging: 'native',
  kindFilter: 'emulated',
  rangeDownload: 'native',
  upload: 'native',
  createOnly: 'native',
  updateIfMatch: 'native',
  atomicReplace: 'native',
  remove: 'native',
  createFolder: 'native',
  downloadUrl: 'unsupported',
  changes: 'native'
}

/** A site has an entry and can be listed. All other operations need an item of a drive. */
const OPERATIONS: Operations<GraphSession, ItemId | SiteId, ItemId | SiteId> = {
  provider: 'onedrive',
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
  changes,
  waitForChange
}

async function stat(session: GraphSession, id: ItemId | SiteId, call: Call): Promise<Entry> {
  return 'site' in id ? getSiteEntry(session, id, call) : statItem(session, id, call)
}

/** Moves a file to the recycle bin. Checks the kind first: Graph would also remove a folder with its content. */
async function remove(session: GraphSession, id: ItemId | SiteId, call: Call): Promise<void> {
  const missing = 'OBJECT_NOT_FOUND'
  const itemId = requireItem(id, missing)
  try {
    const kind = kindOf(await getItem(session, itemId, call, missing))
    if (kind !== 'file' && kind !== 'shortcut') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    const url = apiUrl(session.origin, pathOf(itemId))
    const response = await session.client.request({ method: 'DELETE', url, signal: call.signal, missing })
    await response.discard()
  } catch (error) {
    if (!isStorageError(error, missing)) throw error
  }
}

async function createFolder(
  session: GraphSession,
  parentId: ItemId | SiteId,
  name: string,
  call: Call
): Promise<Entry> {
  const missing = 'FOLDER_NOT_FOUND'
  const parent = requireItem(parentId, missing)
  const { client, origin, ownDrive } = session
  const isOwn = parent.drive === null
  // Find the user's own drive before the write, since the entry needs it: a completed write must not fail.
  if (!isOwn) await getOwnDriveId(session, call)
  const folder = await retryOnShortcutTarget(session, parent, call, missing, (itemId) =>
    client.json({
      method: 'POST',
      url: apiUrl(origin, `${pathOf(itemId)}/children`),
      signal: call.signal,
      json: { name, folder: {}, '@microsoft.graph.conflictBehavior': 'fail' },
      missing
    })
  )
  ownDrive.updateFromItem(folder, { isOwn })
  return toEntry(session, folder, call)
}

/** Returns the user and the quota of their drive. Personal accounts have an address in `userPrincipalName` only. */
async function account(session: GraphSession, { signal }: Call): Promise<Account> {
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
