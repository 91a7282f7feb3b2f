import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Call } from '../../core/backend.ts'
import { type Change, type FeedPage, type PageFreshness, ROOT_SCOPE } from '../../core/change-feed.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { asObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { FOLDER, formatId, type ItemId, parseId, ROOT } from './entries.ts'
import { type DriveSession, getRootId } from './session.ts'

// Google keeps a log of changes per user and one per shared drive. ROOT_SCOPE is the user's log: My Drive, and the
// shared drives themselves (membership, names). A shared drive's id is the scope of its log. The user's log must not
// be relied on for items in shared drives (Google: "Track changes for users and shared drives").

/** Longest position, in characters; Google's are numbers. */
const MAX_POSITION_LENGTH = 4096
/** The largest page that Google returns. */
const PAGE_SIZE = 1000
/** An item has one parent; items from before September 2020 may have several. */
const MAX_PARENTS = 20
/** Requests for locations of folders per page of a listing. The next page continues. */
const MAX_LOOKUPS = 5

const FEED_FIELDS =
  'nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,' +
  'file(parents,mimeType,trashed,driveId,resourceKey))'

/** Something unknown in the scope has changed. */
const UNKNOWN_CHANGE: Change = {
  id: null,
  path: null,
  parentId: null,
  isFolder: null,
  isGone: false,
  concerns: 'item'
}

/** Returns the current position of a log. @throws StorageError `FOLDER_NOT_FOUND` for a drive that has none */
export async function position({ client, driveIndex }: DriveSession, scope: string, { signal }: Call): Promise<string> {
  driveIndex.isFeedRead = true
  const driveId = parseScope(scope)
  const parameters = { supportsAllDrives: true, fields: 'startPageToken', ...(driveId !== null && { driveId }) }
  const response = await client.tryCall({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) =>
    drive.changes.getStartPageToken(parameters, options)
  )
  const hasFeed = 'data' in response
  if (driveId !== null && (hasFeed || isStorageError(response.error, 'FOLDER_NOT_FOUND', 'ACCESS_DENIED'))) {
    driveIndex.setHasFeed(driveId, hasFeed)
  }
  if (!hasFeed) throw response.error
  return requirePosition(response.data.startPageToken)
}

/**
 * Returns one page of a log, in one request. `restrictToMyDrive` is not set: an entry is the present state of an item,
 * so it would omit the items that have left My Drive.
 */
export async function changes(
  session: DriveSession,
  scope: string,
  since: string,
  { signal }: Call
): Promise<FeedPage> {
  const { client, driveIndex } = session
  driveIndex.isFeedRead = true
  const driveId = parseScope(scope)
  if (!isPosition(since)) return 'lost'
  const parameters = {
    pageToken: since,
    pageSize: PAGE_SIZE,
    spaces: 'drive',
    includeRemoved: true,
    supportsAllDrives: true,
    includeItemsFromAllDrives: true,
    fields: FEED_FIELDS,
    ...(driveId !== null && { driveId })
  }
  const response = await client.tryCall({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) =>
    drive.changes.list(parameters, options)
  )
  if ('error' in response) {
    if (isLost(response, driveId)) return 'lost'
    throw response.error
  }
  const { changes: entries, nextPageToken, newStartPageToken } = response.data
  if (!Array.isArray(entries) || entries.length > PAGE_SIZE) {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no list of changes, or more changes than requested')
  }
  const hasMore = typeof nextPageToken === 'string' && nextPageToken !== ''
  const next = requirePosition(hasMore ? nextPageToken : newStartPageToken)
  // Root entries have the root's own id as their parent, which differs from the id of its pages.
  const rootId = driveId === null && entries.length > 0 ? await getRootId(session, { signal }) : driveIndex.rootId
  const listed = entries.flatMap((entry) => toChanges(session, asObject(entry), driveId))
  const isRootUnknown = driveId === null && rootId === null && listed.some(({ parentId }) => parentId !== null)
  if (isRootUnknown) listed.push({ ...UNKNOWN_CHANGE, concerns: 'roots' })
  return { position: next, changes: listed, hasMore }
}

/** The request is valid except for its position, so 400 concerns that. A log of a shared drive ends with it. */
function isLost(
  { error, status }: { readonly error: unknown; readonly status: number },
  driveId: string | null
): boolean {
  return status === 400 || status === 410 || (driveId !== null && isStorageError(error, 'FOLDER_NOT_FOUND'))
}

/** @throws StorageError `FOLDER_NOT_FOUND` for a scope that is not this backend's */
function parseScope(scope: string): string | null {
  return scope === ROOT_SCOPE ? null : parseId(scope, 'FOLDER_NOT_FOUND').id
}

function isPosition(token: unknown): token is string {
  return typeof token === 'string' && token !== '' && token.length <= MAX_POSITION_LENGTH
}

function requirePosition(token: unknown): string {
  if (!isPosition(token)) throw failure('PROVIDER_ERROR', 'Google Drive returned no position of its changes')
  return token
}

/** Converts an entry of a log, and stores the new location of a folder. */
function toChanges(
  { driveIndex }: DriveSession,
  { changeType, removed, fileId, driveId, file }: drive_v3.Schema$Change,
  scopeDriveId: string | null
): Change[] {
  if (changeType === 'drive') return [driveChange(driveIndex, driveId, removed === true, scopeDriveId)]
  if (changeType !== 'file' || !isBareId(fileId)) return [UNKNOWN_CHANGE]
  const isRoot = fileId === driveIndex.rootId
  const id = isRoot ? ROOT : fileId
  if (removed === true) {
    // Only the id is known. A folder that was never listed here may still contain cached folders.
    const isFolder = driveIndex.has(fileId) ? true : null
    driveIndex.delete(fileId)
    return [{ ...UNKNOWN_CHANGE, id, isFolder, isGone: true }]
  }
  const item: drive_v3.Schema$File = asObject(file)
  const { mimeType, trashed, resourceKey } = item
  const parents: unknown = item.parents ?? []
  if (typeof mimeType !== 'string' || !Array.isArray(parents)) return [UNKNOWN_CHANGE]
  if (parents.length > MAX_PARENTS || !parents.every(isBareId)) return [UNKNOWN_CHANGE]
  driveIndex.updateFromFile({ ...item, id: fileId })
  const change = { ...UNKNOWN_CHANGE, isFolder: mimeType === FOLDER, isGone: trashed === true }
  const parentIds = parents.map((parent) => (parent === driveIndex.rootId ? ROOT : parent))
  // The key of an item may be newer than its page.
  const key = isBareId(resourceKey) ? resourceKey : null
  const ids = key === null || isRoot ? [id] : [id, formatId(fileId, key)]
  return ids.flatMap((id) =>
    (parentIds.length === 0 ? [null] : parentIds).map((parentId) => ({ ...change, id, parentId }))
  )
}

/**
 * Converts a change of a shared drive itself. In the drive's own log it may be the user's role, and with it the
 * permissions on every entry.
 */
function driveChange(
  driveIndex: DriveSession['driveIndex'],
  driveId: unknown,
  isGone: boolean,
  scopeDriveId: string | null
): Change {
  if (scopeDriveId !== null) return UNKNOWN_CHANGE
  if (!isBareId(driveId)) return { ...UNKNOWN_CHANGE, concerns: 'roots' }
  driveIndex.setHasFeed(driveId, true)
  return { ...UNKNOWN_CHANGE, id: driveId, parentId: ROOT, isFolder: true, isGone, concerns: 'roots' }
}

const BARE_ID_PATTERN = /^[\w-]{1,200}$/

function isBareId(id: unknown): id is string {
  return typeof id === 'string' && BARE_ID_PATTERN.test(id)
}

/**
 * Returns the log that reports the changes of a page; `null` for folders of others that are neither in My Drive nor
 * in a shared drive of the user, and for pages with an id that contains a key: logs report removed items without it.
 */
export async function freshnessOf(
  session: DriveSession,
  folder: ItemId,
  entries: readonly Entry[],
  call: Call
): Promise<PageFreshness | null> {
  const { driveIndex } = session
  if (folder.resourceKey !== null || entries.some(({ id }) => id.includes('/'))) return null
  if (folder.id === ROOT) return { scope: ROOT_SCOPE, isTop: true }
  const [first] = entries
  const driveId = first === undefined ? driveIndex.driveIdOf(folder.id) : first.driveId
  // The log of a shared drive ends when the user loses the drive.
  const isTop = folder.id === driveId
  if (driveId !== null) return driveIndex.hasFeed(driveId) ? { scope: driveId, ...(isTop && { isTop }) } : null
  return (await isInMyDrive(session, folder.id, call)) ? { scope: ROOT_SCOPE } : null
}

/** Returns whether a folder is below the root. Requests unknown locations, if the caller reads the feed. */
async function isInMyDrive(session: DriveSession, folderId: string, call: Call): Promise<boolean> {
  const { client, driveIndex } = session
  const { signal } = call
  try {
    if (driveIndex.isFeedRead) await getRootId(session, call)
    for (let lookups = 0; ; lookups++) {
      const found = driveIndex.whereIs(folderId)
      if (typeof found === 'string') return found === 'my-drive'
      if (!driveIndex.isFeedRead || driveIndex.rootId === null || lookups === MAX_LOOKUPS) return false
      const parameters = { fileId: found.unknown, supportsAllDrives: true, fields: 'id,mimeType,parents,driveId' }
      const file = await client.call({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) =>
        drive.files.get(parameters, options)
      )
      if (file.id !== found.unknown || file.mimeType !== FOLDER) return false
      driveIndex.updateFromFile(file)
    }
  } catch (error) {
    signal.throwIfAborted()
    // The page is complete without it.
    if (isStorageError(error)) return false
    throw error
  }
}
