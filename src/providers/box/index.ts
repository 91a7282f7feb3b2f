import type { Account, Call, Capabilities } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { AuthorizationServer } from '../../core/oauth.ts'
import { defineProvider, type OAuthProvider } from '../../core/provider.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { createBackend, type Operations } from '../shared/backend.ts'
import { textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { waitForChange } from './announcements.ts'
import { changes, position } from './changes.ts'
import { downloadFile } from './download.ts'
import { boxEntry, fieldsOf, type ItemId, parseFolderId, parseId, pathOf } from './entries.ts'
import { listFolder } from './list.ts'
import { type BoxOrigins, type BoxSession, getItem, openSession } from './session.ts'
import { uploadFile } from './upload.ts'

/** The endpoints of the service. */
export interface BoxEndpoints extends BoxOrigins {
  readonly server: AuthorizationServer
}

const BOX: BoxEndpoints = {
  api: 'https://api.box.com',
  upload: 'https://upload.box.com',
  contentHosts: ['*.boxcloud.com', '*.box.com'],
  realtimeHosts: ['*.services.box.com', '*.services.box.net'],
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

const OPERATIONS: Operations<BoxSession, ItemId, ItemId> = {
  provider: 'box',
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

async function stat(session: BoxSession, itemId: ItemId, call: Call): Promise<Entry> {
  return boxEntry(await getItem(session, itemId, call, 'OBJECT_NOT_FOUND'))
}

/** Moves the file to the trash or deletes it permanently, depending on the enterprise's settings. */
async function remove({ client, origin }: BoxSession, itemId: ItemId, { signal }: Call): Promise<void> {
  if (itemId.type === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
  const missing = 'OBJECT_NOT_FOUND'
  try {
    const response = await client.request({ method: 'DELETE', url: apiUrl(origin, pathOf(itemId)), signal, missing })
    await response.discard()
  } catch (error) {
    if (!isStorageError(error, missing)) throw error
  }
}

async function createFolder(
  { client, origin }: BoxSession,
  parent: ItemId,
  name: string,
  { signal }: Call
): Promise<Entry> {
  const folder = await client.json({
    method: 'POST',
    url: apiUrl(origin, '/2.0/folders', { fields: fieldsOf('folder') }),
    signal,
    json: { name, parent: { id: parent.id } },
    missing: 'FOLDER_NOT_FOUND'
  })
  return boxEntry(folder)
}

/** The quota in bytes that Box reports for some accounts without a limit, instead of -1 (seen; not documented). */
const UNLIMITED = 999_999_999_999_999

/** Returns the current user. */
async function account({ client, origin }: BoxSession, { signal }: Call): Promise<Account> {
  const url = apiUrl(origin, '/2.0/users/me', { fields: 'id,name,login,space_amount,space_used' })
  const { id, ...user } = await client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' })
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
