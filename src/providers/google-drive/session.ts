import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import { LRUCache } from 'lru-cache'
import type { Call } from '../../core/backend.ts'
import type { Egress } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError } from '../../errors.ts'
import type { Send } from '../shared/bearer.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import type { DriveClient } from './client.ts'
import { driveEntry, type ItemId, fileEntry, FOLDER, ROOT } from './entries.ts'
import { FILE_FIELDS } from './query.ts'

/** An open connection to Drive, used by every operation. */
export interface DriveSession {
  /** Client of the metadata API. */
  readonly client: DriveClient
  readonly driveIndex: DriveIndex
  /** Names of unfinished download operations, so that the next call continues after a timeout. */
  readonly downloadOperations: LRUCache<string, string>
  /** The origin of the API. */
  readonly origin: string
  /** Further origins that receive the connection's token, for rendered videos. */
  readonly contentOrigins: readonly string[]
  /** Hosts that serve rendered videos and receive no token. */
  readonly contentHosts: readonly string[]
  /** For content; sends the connection's token to `origin` and `contentOrigins` only. */
  readonly send: Send
  /** For the URLs of upload sessions, which need no token. */
  readonly egress: Egress
  readonly timeouts: Timeouts
}

/** Gets one item. @throws StorageError `missing` if it does not exist or is in the trash */
export async function getItem(
  { client, driveIndex }: DriveSession,
  itemId: ItemId,
  { signal }: Call,
  missing: NotFoundCode
): Promise<drive_v3.Schema$File> {
  const parameters = { fileId: itemId.id, supportsAllDrives: true, fields: `${FILE_FIELDS},trashed` }
  const file = await client.call({ signal, missing, itemId }, (drive, options) => drive.files.get(parameters, options))
  if (typeof file.id !== 'string') throw failure('PROVIDER_ERROR', 'Google Drive returned an item without an id')
  if (itemId.id === ROOT) driveIndex.rootId = file.id
  if (file.trashed === true) throw failure(missing)
  driveIndex.updateFromFile(file)
  // The key that was needed for access is part of the id.
  return { ...file, resourceKey: file.resourceKey ?? itemId.resourceKey }
}

/** @throws StorageError `FOLDER_NOT_FOUND` if it is not a folder or does not exist */
export async function getFolder(session: DriveSession, itemId: ItemId, call: Call): Promise<drive_v3.Schema$File> {
  const file = await getItem(session, itemId, call, 'FOLDER_NOT_FOUND')
  if (file.mimeType !== FOLDER) throw failure('FOLDER_NOT_FOUND')
  return file
}

/** Returns Google's id of the root of My Drive, requested once; `null` if the connection may not access it. */
export async function getRootId({ client, driveIndex }: DriveSession, { signal }: Call): Promise<string | null> {
  if (driveIndex.rootId !== null) return driveIndex.rootId
  const parameters = { fileId: ROOT, supportsAllDrives: true, fields: 'id' }
  try {
    const { id = null } = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
      drive.files.get(parameters, options)
    )
    driveIndex.rootId = id
    return id
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND', 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')) return null
    throw error
  }
}

/**
 * Requests the root id before a write, unless the response of the write will contain it. The entry of the written
 * item needs the id, and a completed write must not fail for lack of it.
 */
export async function ensureRootId(session: DriveSession, parent: ItemId | null, call: Call): Promise<void> {
  if (parent?.id !== ROOT) await getRootId(session, call)
}

/** Stores the root id from the response of a write into `parent`. */
export function storeRootId(
  { driveIndex }: DriveSession,
  parent: ItemId | null,
  { parents }: drive_v3.Schema$File
): void {
  if (parent?.id === ROOT) driveIndex.rootId ??= parents?.[0] ?? null
}

/** Converts a single item to the same entry as in its folder's listing, except for the state of shortcut targets. */
export async function toEntry(session: DriveSession, file: drive_v3.Schema$File, call: Call): Promise<Entry> {
  const { id, driveId } = file
  const [parent = null] = file.parents ?? []
  if (typeof driveId === 'string') {
    return id === driveId ? getDriveEntry(session, driveId, call) : fileEntry(file, { parentId: parent })
  }
  const root = await getRootId(session, call)
  if (root !== null && id === root) return fileEntry(file, { id: ROOT, parentId: null })
  return fileEntry(file, { parentId: parent !== null && parent === root ? ROOT : parent })
}

/** The file with the id of a shared drive has neither the drive's name nor its type. */
async function getDriveEntry({ client }: DriveSession, driveId: string, { signal }: Call): Promise<Entry> {
  const drive = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
    drive.drives.get({ driveId, fields: DRIVE_FIELDS }, options)
  )
  return driveEntry(drive)
}

export const DRIVE_FIELDS = 'id,name,createdTime'

/** Maximum folders with a cached shared drive. For other folders, Google searches longer. */
const MAX_FOLDERS = 5000

/** The locations of folders that a connection has learned from its responses. */
export class DriveIndex {
  /** Google's id of the root of My Drive; `null` if unknown. */
  rootId: string | null = null
  /** The shared drive of folders and of the drives themselves, by id. */
  readonly #drives = new LRUCache<string, string>({ max: MAX_FOLDERS })

  driveIdOf(folderId: string): string | null {
    return this.#drives.get(folderId) ?? null
  }

  addDrive(driveId: string): void {
    this.#drives.set(driveId, driveId)
  }

  /** Stores the shared drive of a folder, or removes it if the folder is in none any more. */
  updateFromFile({ id, mimeType, driveId }: drive_v3.Schema$File): void {
    if (typeof id !== 'string' || mimeType !== FOLDER) return
    if (typeof driveId === 'string') this.#drives.set(id, driveId)
    else this.#drives.delete(id)
  }

  delete(folderId: string): void {
    this.#drives.delete(folderId)
  }
}
