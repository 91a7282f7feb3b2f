import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Call, ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { asObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor, readJsonCursor } from '../shared/paging.ts'
import { freshnessOf } from './changes.ts'
import { DRIVE_FIELDS, driveEntry, FILE_FIELDS, fileEntry, FOLDER, type ItemId, ROOT, SHORTCUT } from './entries.ts'
import { type DriveSession, getFolder, getRootId } from './session.ts'
import { withTargetStates } from './shortcuts.ts'

interface FilesPage {
  readonly entries: readonly Entry[]
  readonly token: string | null
  readonly isPartial: boolean
  /** Whether Google returned no items at all. */
  readonly isEmpty: boolean
}

const ROOT_FOLDER: ItemId = { id: ROOT, resourceKey: null, publicId: ROOT }

/** Returns one page of a folder in one call. Empty folders, shortcuts and the drives of the root need more. */
export async function listFolder(session: DriveSession, itemId: ItemId, call: ListCall): Promise<EntryPage> {
  const folder = await resolveFolder(session, itemId, call)
  const page = await listPage(session, folder, call)
  return { ...page, freshness: await freshnessOf(session, folder, page.entries, call) }
}

async function listPage(session: DriveSession, folder: ItemId, call: ListCall): Promise<EntryPage> {
  const cursor = call.cursor === undefined ? null : readCursor(call.cursor, call.limit)
  if (cursor?.phase === 'drives' && (folder.id !== ROOT || call.kind !== undefined)) {
    throw invalidCursor()
  }
  if (cursor?.phase === 'files') return listFilesPage(session, folder, cursor, call)
  if (folder.id === ROOT && call.kind === undefined) return listRootPage(session, cursor, call)
  return listFirstPage(session, folder, call)
}

/** Lists the shared drives. After the last of them, adds the top of My Drive if at least half of the page is free. */
async function listRootPage(session: DriveSession, cursor: Cursor | null, call: ListCall): Promise<EntryPage> {
  const { limit } = call
  const pageSize = cursor?.pageSize ?? Math.min(limit, MAX_DRIVES)
  const drives = await listDrives(session, cursor?.token ?? null, pageSize, call)
  const next = { phase: 'drives', token: drives.token, pageSize, driveId: null, isPartial: false } as const
  if (drives.token !== null) return toEntryPage(ROOT_FOLDER, drives.entries, next, false)
  // All pages of the files must have the size of the first one, which therefore contains fewer files.
  const remaining = limit - drives.entries.length
  const files = { ...next, phase: 'files', token: null, pageSize: remaining } as const
  if (remaining < limit / 2) return toEntryPage(ROOT_FOLDER, drives.entries, { ...files, pageSize: limit }, false)
  const page = await listFilesPage(session, ROOT_FOLDER, files, call)
  return { ...page, entries: [...drives.entries, ...page.entries] }
}

/**
 * Returns a folder's first page, using the shared drive in which the folder was last seen. To a search, a missing
 * folder or a file looks like an empty folder, so an empty result is checked with a request for the folder.
 */
async function listFirstPage(session: DriveSession, folder: ItemId, call: ListCall): Promise<EntryPage> {
  const { driveIndex } = session
  const firstCursor = (driveId: string | null): Cursor => {
    return { phase: 'files', token: null, pageSize: call.limit, driveId, isPartial: false }
  }
  const cursor = firstCursor(driveIndex.driveIdOf(folder.id))
  const page = await listFiles(session, folder, cursor, call).catch((error: unknown) => {
    if (cursor.driveId === null || !isStorageError(error, 'FOLDER_NOT_FOUND')) throw error
    driveIndex.delete(folder.id)
    return null
  })
  if (page !== null && (!page.isEmpty || folder.id === ROOT)) return toFilesPage(folder, cursor, page)
  const { driveId = null } = await getFolder(session, folder, call)
  if (page !== null && (cursor.driveId === null || driveId === cursor.driveId)) return toFilesPage(folder, cursor, page)
  // The folder was moved to another drive.
  return listFilesPage(session, folder, firstCursor(driveId), call)
}

async function listFilesPage(
  session: DriveSession,
  folder: ItemId,
  cursor: Cursor,
  call: ListCall
): Promise<EntryPage> {
  return toFilesPage(folder, cursor, await listFiles(session, folder, cursor, call))
}

async function listFiles(session: DriveSession, folder: ItemId, cursor: Cursor, call: ListCall): Promise<FilesPage> {
  const { client, driveIndex } = session
  const { signal, kind } = call
  const corpus: Corpus = folder.id === ROOT ? 'user' : cursor.driveId === null ? null : { driveId: cursor.driveId }
  const parameters = listParameters(childrenQuery(folder.id, kind), corpus, cursor.pageSize)
  const page = cursor.token === null ? parameters : { ...parameters, pageToken: cursor.token }
  const response = await client.call({ signal, missing: 'FOLDER_NOT_FOUND', itemId: folder }, (drive, options) =>
    drive.files.list(page, options)
  )
  const files = requireFiles(response.files, cursor.pageSize)
  for (const file of files) driveIndex.updateFromFile(file)
  if (folder.id === ROOT) driveIndex.rootId ??= files[0]?.parents?.[0] ?? null
  const entries = files.map((file) => fileEntry(file, { parentId: folder.publicId }))
  const matching = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
  return {
    entries: await withTargetStates(session, matching, call),
    token: response.nextPageToken === '' ? null : (response.nextPageToken ?? null),
    isPartial: cursor.isPartial || response.incompleteSearch === true,
    isEmpty: files.length === 0
  }
}

/** @throws StorageError `PROVIDER_ERROR` for a response without a list, or with more items than requested */
function requireFiles(files: unknown, pageSize: number): drive_v3.Schema$File[] {
  if (Array.isArray(files) && files.length <= pageSize) return files.map(asObject)
  throw failure('PROVIDER_ERROR', 'Google Drive returned no list of files, or more files than requested')
}

function toFilesPage(folder: ItemId, cursor: Cursor, { entries, token, isPartial }: FilesPage): EntryPage {
  return toEntryPage(folder, entries, token === null ? null : { ...cursor, token, isPartial }, isPartial)
}

function toEntryPage(
  { publicId }: ItemId,
  entries: readonly Entry[],
  next: Cursor | null,
  isPartial: boolean
): EntryPage {
  const reason: IncompleteReason | null = next !== null ? 'more' : isPartial ? 'provider-partial' : null
  return {
    folder: { id: publicId, name: null, parentId: null },
    entries,
    next: next === null ? null : writeCursor(next),
    complete: reason === null,
    reason
  }
}

/** Ids of roots, of My Drive and of shared drives, start like this (seen; not documented). */
const ROOT_ID_PATTERN = /^0A/

/** Maps all ids of the root to one. */
async function resolveFolder(session: DriveSession, itemId: ItemId, call: ListCall): Promise<ItemId> {
  if (itemId.publicId === ROOT) return ROOT_FOLDER
  const mayBeRoot = ROOT_ID_PATTERN.test(itemId.id) && session.driveIndex.driveIdOf(itemId.id) === null
  const root = mayBeRoot ? await getRootId(session, call) : session.driveIndex.rootId
  return itemId.id === root ? ROOT_FOLDER : itemId
}

/** The position at which a listing continues: Google's page token, and the parameters that belong to it. */
interface Cursor {
  /** The root lists the shared drives first. */
  readonly phase: 'drives' | 'files'
  /** `null` for the beginning of the phase. */
  readonly token: string | null
  readonly pageSize: number
  readonly driveId: string | null
  /** Whether Google reported an incomplete search for an earlier page. */
  readonly isPartial: boolean
}

const DRIVE_ID_PATTERN = /^[\w-]{1,200}$/

function writeCursor({ phase, token, pageSize, driveId, isPartial }: Cursor): string {
  return JSON.stringify([phase, token, pageSize, driveId, isPartial])
}

/** @throws StorageError `INVALID_CURSOR` */
function readCursor(encodedCursor: string, limit: number): Cursor {
  return readJsonCursor(encodedCursor, ([phase, token, pageSize, driveId, isPartial]) => {
    const isValid =
      (phase === 'files' || (phase === 'drives' && token !== null && driveId === null)) &&
      (token === null || (typeof token === 'string' && token !== '')) &&
      typeof pageSize === 'number' &&
      Number.isInteger(pageSize) &&
      pageSize >= 1 &&
      pageSize <= limit &&
      (driveId === null || (typeof driveId === 'string' && DRIVE_ID_PATTERN.test(driveId))) &&
      typeof isPartial === 'boolean'
    return isValid ? { phase, token, pageSize, driveId, isPartial } : null
  })
}

/** The largest page that Google returns. */
const MAX_DRIVES = 100

/** Returns a page of the shared drives; none if the grant lacks the scope. */
async function listDrives(
  { client, driveIndex }: DriveSession,
  token: string | null,
  pageSize: number,
  { signal }: Call
): Promise<{ readonly entries: readonly Entry[]; readonly token: string | null }> {
  const parameters = { pageSize, fields: `nextPageToken,drives(${DRIVE_FIELDS})` }
  const page = token === null ? parameters : { ...parameters, pageToken: token }
  const response = await client
    .call({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) => drive.drives.list(page, options))
    .catch((error: unknown) => {
      if (token === null && isStorageError(error, 'INSUFFICIENT_SCOPE')) return { drives: [], nextPageToken: null }
      throw error
    })
  const { drives, nextPageToken } = response
  if (!Array.isArray(drives) || drives.length > pageSize) {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no list of drives, or more drives than requested')
  }
  const entries = drives.map((drive) => driveEntry(asObject(drive)))
  for (const { id } of entries) driveIndex.addDrive(id)
  return { entries, token: nextPageToken === '' ? null : (nextPageToken ?? null) }
}

/** Quotes a string for Drive's query language. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

/** Returns the query for a folder's items, of all kinds or of one. */
function childrenQuery(folderId: string, kind?: ListCall['kind']): string {
  const children = `${quote(folderId)} in parents and trashed = false`
  if (kind === 'folder') return `${children} and mimeType = ${quote(FOLDER)}`
  if (kind === 'file') return `${children} and mimeType != ${quote(FOLDER)} and mimeType != ${quote(SHORTCUT)}`
  return children
}

/** The collection to search; `null` lets Google decide. */
type Corpus = { readonly driveId: string } | 'user' | null

/** Returns the parameters of a listing, which must be the same for all its pages. */
function listParameters(q: string, corpus: Corpus, pageSize: number): drive_v3.Params$Resource$Files$List {
  return {
    q,
    pageSize,
    orderBy: 'folder,name_natural',
    spaces: 'drive',
    supportsAllDrives: true,
    includeItemsFromAllDrives: true,
    fields: `nextPageToken,incompleteSearch,files(${FILE_FIELDS})`,
    ...(corpus === 'user' && { corpora: 'user' }),
    ...(corpus !== null && corpus !== 'user' && { corpora: 'drive', driveId: corpus.driveId })
  }
}

const SEARCH_PAGE_SIZE = 100
/** Google may return short or empty pages before the last one. */
const MAX_SEARCH_PAGES = 10

/** Returns all items with a name in a folder. Drive matches names loosely, and allows duplicates. */
export async function findByName(
  { client, driveIndex }: DriveSession,
  parent: ItemId,
  name: string,
  { signal }: Call
): Promise<readonly Entry[]> {
  const driveId = driveIndex.driveIdOf(parent.id)
  const corpus = parent.id === ROOT ? 'user' : driveId === null ? null : { driveId }
  const parameters = listParameters(`${childrenQuery(parent.id)} and name = ${quote(name)}`, corpus, SEARCH_PAGE_SIZE)
  const found: Entry[] = []
  let page = parameters
  for (let pages = 1; pages <= MAX_SEARCH_PAGES; pages++) {
    const response = await client.call({ signal, missing: 'FOLDER_NOT_FOUND', itemId: parent }, (drive, options) =>
      drive.files.list(page, options)
    )
    const { files, nextPageToken } = response
    if (!Array.isArray(files)) throw failure('PROVIDER_ERROR', 'Google Drive returned no list of files')
    const entries = files.map((file) => fileEntry(asObject(file), { parentId: parent.id }))
    found.push(...entries.filter((entry) => entry.name === name))
    if (typeof nextPageToken !== 'string' || nextPageToken === '') break
    page = { ...parameters, pageToken: nextPageToken }
  }
  return found
}
