import type { Account, Call, Capabilities } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { AuthorizationServer, RevokeContext } from '../../core/oauth.ts'
import { defineProvider, type OAuthProvider } from '../../core/provider.ts'
import type { Secret } from '../../core/secret.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { createBackend, type Operations } from '../shared/backend.ts'
import { asObject, type JsonObject, sizeOf, textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import { waitForChange } from './announcements.ts'
import { isCurrent } from './changes.ts'
import { downloadFile, getTemporaryLink } from './download.ts'
import { folderEntry, parseFolderId, parseId, toEntry } from './entries.ts'
import { dropboxFailure } from './errors.ts'
import { listFolder } from './list.ts'
import { type DropboxOrigins, type DropboxSession, getFolder, getItem, getParentId, openSession } from './session.ts'
import { uploadFile } from './upload.ts'

/** The endpoints of the service, including those of the authorization server. */
export interface DropboxEndpoints extends DropboxOrigins {
  readonly server: AuthorizationServer
}

const DROPBOX: DropboxEndpoints = {
  api: 'https://api.dropboxapi.com',
  content: 'https://content.dropboxapi.com',
  notify: 'https://notify.dropboxapi.com',
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
    checkFolderId: (id) => void parseFolderId(id),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['account_info.read', 'files.metadata.read', 'files.content.read'],
      // Required for a refresh token (Dropbox's "OAuth Guide").
      authorizationParameters: { token_access_type: 'offline' },
      revoke: (accessToken, context) => revokeToken(endpoints.api, accessToken, context)
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
  downloadUrl: 'emulated',
  changes: 'emulated'
}

/** All items except the root have ids, which survive moves. */
const OPERATIONS: Operations<DropboxSession, string, string | null> = {
  provider: 'dropbox',
  capabilities: CAPABILITIES,
  parseId,
  parseFolderId,
  listFolder,
  stat,
  download: downloadFile,
  upload: uploadFile,
  remove,
  createFolder,
  downloadUrl: getTemporaryLink,
  account,
  isCurrent,
  waitForChange
}

async function stat(session: DropboxSession, id: string, call: Call): Promise<Entry> {
  const metadata = await getItem(session, id, call, 'OBJECT_NOT_FOUND')
  return toEntry(metadata, await getParentId(session, metadata, call))
}

/**
 * Creates a folder. Unlike all other writes, this takes a path and no id: if the parent is moved right before,
 * Dropbox creates it again at its old path. The call then fails and leaves the new folder there, because removing it
 * would also remove what other clients may have added to it.
 *
 * @throws StorageError `ALREADY_EXISTS`, `FOLDER_NOT_FOUND`, `INVALID_REQUEST`
 */
async function createFolder(
  session: DropboxSession,
  parentId: string | null,
  name: string,
  call: Call
): Promise<Entry> {
  const parent = parentId === null ? '' : await getPath(session, parentId, call)
  const arg = { path: `${parent}/${name}`, autorename: false }
  const options = { signal: call.signal, missing: 'FOLDER_NOT_FOUND' } as const
  const { metadata } = await session.client.files('create_folder_v2', arg, options)
  const folder = asObject(metadata)
  const entry = folderEntry(folder, parentId)
  if ((await getParentId(session, folder, call)) !== parentId) {
    throw failure('FOLDER_NOT_FOUND', 'The parent folder was moved while the folder was created')
  }
  return entry
}

/** @throws StorageError `FOLDER_NOT_FOUND`; `UNSUPPORTED` for a shared folder that is not mounted */
async function getPath(session: DropboxSession, id: string, call: Call): Promise<string> {
  const { path_lower: path } = await getFolder(session, id, call)
  if (typeof path !== 'string' || !path.startsWith('/')) throw failure('UNSUPPORTED', 'The folder is not mounted')
  return path
}

/** Maximum attempts to remove a file that changes between the check and the removal. */
const MAX_ATTEMPTS = 2

/**
 * Removes a file; Dropbox can restore it for a month. Dropbox would also remove a folder with its content, so the
 * item is checked first, and exactly the checked version is removed.
 *
 * @throws StorageError `INVALID_REQUEST` for a folder, `LOCKED` for a file that changes continually
 */
async function remove(session: DropboxSession, id: string, call: Call): Promise<void> {
  const options = { signal: call.signal, missing: 'OBJECT_NOT_FOUND' } as const
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    try {
      const { '.tag': tag, rev } = await getItem(session, id, call, 'OBJECT_NOT_FOUND')
      if (tag === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      if (typeof rev !== 'string') throw failure('PROVIDER_ERROR', 'Dropbox returned a file without a version')
      await session.client.files('delete_v2', { path: id, parent_rev: rev }, options)
      return
    } catch (error) {
      if (isStorageError(error, 'OBJECT_NOT_FOUND')) return
      if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    }
  }
  throw failure('LOCKED', 'The file changed before each attempt to remove it')
}

/** Returns the current user. Also updates the path root from the response. */
async function account({ client }: DropboxSession, call: Call): Promise<Account> {
  const user = await client.user('get_current_account', call)
  const id = textOf(user['account_id'])
  if (id === null) throw failure('PROVIDER_ERROR', 'Dropbox returned no account id')
  client.root.updateFromAccount(user)
  const space = await client.user('get_space_usage', call)
  const email = textOf(user['email'])
  const name = textOf(asObject(user['name'])['display_name'])
  return { id, name: name ?? email ?? id, email, quota: quotaOf(space) }
}

/** Team members share the team's space. A member's own limit applies if it blocks uploads. */
function quotaOf({ used, allocation }: JsonObject): Account['quota'] {
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
async function revokeToken(api: string, accessToken: Secret<string>, { egress, signal }: RevokeContext): Promise<void> {
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
