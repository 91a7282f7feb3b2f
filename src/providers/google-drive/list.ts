import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Call, ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor, readJsonCursor, requireLimit } from '../shared/paging.ts'
import { asObject } from '../shared/rest-client.ts'
import { driveEntry, type DriveId, fileEntry, parseId, ROOT } from './entries.ts'
import { childrenQuery, type Corpus, listParameters } from './query.ts'
import { DRIVE_FIELDS, type DriveServer, lookAtFolder, rootId } from './session.ts'
import { withTargets } from './shortcuts.ts'

/** A listed folder: the id for Google, and the id that clients receive. */
interface Folder extends DriveId {
  readonly shownAs: string
}

interface Files {
  readonly entries: readonly Entry[]
  readonly token: string | null
  readonly isPartial: boolean
  /** Whether Google returned no items at all. */
  readonly isEmpty: boolean
}

const ROOT_FOLDER: Folder = { id: ROOT, resourceKey: null, shownAs: ROOT }

/** Returns one page of a folder in one call. Empty folders, shortcuts and the drives of the root need more. */
export async function listFolder(server: DriveServer, folderId: string | null, call: ListCall): Promise<EntryPage> {
  requireLimit(call.limit)
  const folder = await folderOf(server, folderId, call)
  const place = call.cursor === undefined ? null : readCursor(call.cursor, call.limit)
  if (place?.phase === 'drives' && (folder.id !== ROOT || call.kind !== undefined)) {
    throw invalidCursor()
  }
  if (place?.phase === 'files') return filesPage(server, folder, place, call)
  if (folder.id === ROOT && call.kind === undefined) return rootPage(server, place, call)
  return firstPage(server, folder, call)
}

/** Lists the shared drives. After the last of them, adds the top of My Drive if at least half of the page is free. */
async function rootPage(server: DriveServer, place: Place | null, call: ListCall): Promise<EntryPage> {
  const { limit } = call
  const pageSize = place?.pageSize ?? Math.min(limit, MAX_DRIVES)
  const drives = await listDrives(server, place?.token ?? null, pageSize, call)
  const next = { phase: 'drives', token: drives.token, pageSize, driveId: null, isPartial: false } as const
  if (drives.token !== null) return toPage(ROOT_FOLDER, drives.entries, next, false)
  // All pages of the files must have the size of the first one, which therefore contains fewer files.
  const room = limit - drives.entries.length
  const files = { ...next, phase: 'files', token: null, pageSize: room } as const
  if (room < limit / 2) return toPage(ROOT_FOLDER, drives.entries, { ...files, pageSize: limit }, false)
  const page = await filesPage(server, ROOT_FOLDER, files, call)
  return { ...page, entries: [...drives.entries, ...page.entries] }
}

/**
 * Returns a folder's first page, using the shared drive in which the folder was last seen. To a search, a missing
 * folder or a file looks like an empty folder, so an empty result is checked with a request for the folder.
 */
async function firstPage(server: DriveServer, folder: Folder, call: ListCall): Promise<EntryPage> {
  const { places } = server
  const begin = (driveId: string | null): Place => {
    return { phase: 'files', token: null, pageSize: call.limit, driveId, isPartial: false }
  }
  const known = begin(places.driveOf(folder.id))
  const listed = await listFiles(server, folder, known, call).catch((error: unknown) => {
    if (known.driveId === null || !isStorageError(error, 'FOLDER_NOT_FOUND')) throw error
    places.forget(folder.id)
    return null
  })
  if (listed !== null && (!listed.isEmpty || folder.id === ROOT)) return pageOf(folder, known, listed)
  const { driveId = null } = await lookAtFolder(server, folder, call)
  if (listed !== null && (known.driveId === null || driveId === known.driveId)) return pageOf(folder, known, listed)
  // The folder was moved to another drive.
  return filesPage(server, folder, begin(driveId), call)
}

async function filesPage(server: DriveServer, folder: Folder, place: Place, call: ListCall): Promise<EntryPage> {
  return pageOf(folder, place, await listFiles(server, folder, place, call))
}

async function listFiles(server: DriveServer, folder: Folder, place: Place, call: ListCall): Promise<Files> {
  const { client, places } = server
  const { signal, kind } = call
  const corpus: Corpus = folder.id === ROOT ? 'user' : place.driveId === null ? null : { driveId: place.driveId }
  const parameters = listParameters(childrenQuery(folder.id, kind), corpus, place.pageSize)
  const page = place.token === null ? parameters : { ...parameters, pageToken: place.token }
  const answer = await client.call({ signal, missing: 'FOLDER_NOT_FOUND', about: folder }, (drive, options) =>
    drive.files.list(page, options)
  )
  const files = requireFiles(answer.files, place.pageSize)
  for (const file of files) places.learn(file)
  if (folder.id === ROOT) places.root ??= files[0]?.parents?.[0] ?? null
  const entries = files.map((file) => fileEntry(file, { parentId: folder.shownAs }))
  const wanted = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
  return {
    entries: await withTargets(server, wanted, call),
    token: answer.nextPageToken === '' ? null : (answer.nextPageToken ?? null),
    isPartial: place.isPartial || answer.incompleteSearch === true,
    isEmpty: files.length === 0
  }
}

/** @throws StorageError `PROVIDER_ERROR` for a response without a list, or with more items than requested */
function requireFiles(files: unknown, pageSize: number): drive_v3.Schema$File[] {
  if (Array.isArray(files) && files.length <= pageSize) return files.map(asObject)
  throw failure('PROVIDER_ERROR', 'Google Drive returned no list of files, or more files than requested')
}

function pageOf(folder: Folder, place: Place, { entries, token, isPartial }: Files): EntryPage {
  return toPage(folder, entries, token === null ? null : { ...place, token, isPartial }, isPartial)
}

function toPage({ shownAs }: Folder, entries: readonly Entry[], next: Place | null, isPartial: boolean): EntryPage {
  const reason: IncompleteReason | null = next !== null ? 'more' : isPartial ? 'provider-partial' : null
  return {
    folder: { id: shownAs, name: null, parentId: null },
    entries,
    next: next === null ? null : writeCursor(next),
    complete: reason === null,
    reason
  }
}

/** Ids of roots, of My Drive and of shared drives, start like this (seen; not documented). */
const ROOT_ID = /^0A/

/** Maps all ids of the root to one. @throws StorageError `FOLDER_NOT_FOUND` for an invalid id */
async function folderOf(server: DriveServer, folderId: string | null, call: ListCall): Promise<Folder> {
  if (folderId === null || folderId === ROOT) return ROOT_FOLDER
  const parsed = parseId(folderId, 'FOLDER_NOT_FOUND')
  const mayBeRoot = ROOT_ID.test(parsed.id) && server.places.driveOf(parsed.id) === null
  const root = mayBeRoot ? await rootId(server, call) : server.places.root
  return parsed.id === root ? ROOT_FOLDER : { ...parsed, shownAs: folderId }
}

/** The position at which a listing continues: Google's page token, and the parameters that belong to it. */
export interface Place {
  /** The root lists the shared drives first. */
  readonly phase: 'drives' | 'files'
  /** `null` for the beginning of the phase. */
  readonly token: string | null
  readonly pageSize: number
  readonly driveId: string | null
  /** Whether Google reported an incomplete search for an earlier page. */
  readonly isPartial: boolean
}

const ID = /^[\w-]{1,200}$/

export function writeCursor({ phase, token, pageSize, driveId, isPartial }: Place): string {
  return JSON.stringify([phase, token, pageSize, driveId, isPartial])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string, limit: number): Place {
  return readJsonCursor(cursor, ([phase, token, pageSize, driveId, isPartial]) => {
    const isPlace =
      (phase === 'files' || (phase === 'drives' && token !== null && driveId === null)) &&
      (token === null || (typeof token === 'string' && token !== '')) &&
      typeof pageSize === 'number' &&
      Number.isInteger(pageSize) &&
      pageSize >= 1 &&
      pageSize <= limit &&
      (driveId === null || (typeof driveId === 'string' && ID.test(driveId))) &&
      typeof isPartial === 'boolean'
    return isPlace ? { phase, token, pageSize, driveId, isPartial } : null
  })
}

/** The largest page that Google returns. */
export const MAX_DRIVES = 100

/** Returns a page of the shared drives; none if the grant lacks the scope. */
export async function listDrives(
  { client, places }: DriveServer,
  token: string | null,
  pageSize: number,
  { signal }: Call
): Promise<{ readonly entries: readonly Entry[]; readonly token: string | null }> {
  const parameters = { pageSize, fields: `nextPageToken,drives(${DRIVE_FIELDS})` }
  const page = token === null ? parameters : { ...parameters, pageToken: token }
  const answer = await client
    .call({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) => drive.drives.list(page, options))
    .catch((error: unknown) => {
      if (token === null && isStorageError(error, 'INSUFFICIENT_SCOPE')) return { drives: [], nextPageToken: null }
      throw error
    })
  const { drives, nextPageToken } = answer
  if (!Array.isArray(drives) || drives.length > pageSize) {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no list of drives, or more drives than requested')
  }
  const entries = drives.map((drive) => driveEntry(asObject(drive)))
  for (const { id } of entries) places.learnDrive(id)
  return { entries, token: nextPageToken === '' ? null : (nextPageToken ?? null) }
}
