import type { LRUCache } from 'lru-cache'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Egress } from '../../domain/egress.ts'
import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Timeouts } from '../../domain/ports.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Send } from '../shared/bearer.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import type { DriveClient } from './client.ts'
import { driveEntry, fileEntry } from './entries.ts'
import { type DriveId, ROOT } from './ids.ts'
import { FOLDER } from './media-types.ts'
import type { Places } from './places.ts'
import { FILE_FIELDS } from './query.ts'

/** An opened connection to Drive: what every operation works on. */
export interface DriveServer {
  /** For all that is metadata. */
  readonly client: DriveClient
  readonly places: Places
  /** Names of unfinished download operations, so that a call goes on where the one before ran out of time. */
  readonly renderings: LRUCache<string, string>
  /** The origin of the API. */
  readonly origin: string
  /** Further origins that get the connection's token, for rendered videos. */
  readonly contentOrigins: readonly string[]
  /** Hosts that serve rendered videos and get no token. */
  readonly contentHosts: readonly string[]
  /** For content: with the connection's token, to `origin` and `contentOrigins` alone. */
  readonly send: Send
  /** For upload sessions, whose address is their own token. */
  readonly egress: Egress
  readonly timeouts: Timeouts
}

/** Looks at one item. @throws StorageError `missing` where it is not there, or in the trash */
export async function look(
  { client, places }: DriveServer,
  about: DriveId,
  { signal }: Call,
  missing: Missing
): Promise<drive_v3.Schema$File> {
  const parameters = { fileId: about.id, supportsAllDrives: true, fields: `${FILE_FIELDS},trashed` }
  const file = await client.call({ signal, missing, about }, (drive, options) => drive.files.get(parameters, options))
  if (typeof file.id !== 'string') throw failure('PROVIDER_ERROR', 'Google Drive told of something that has no id')
  if (about.id === ROOT) places.root = file.id
  if (file.trashed === true) throw failure(missing)
  places.learn(file)
  // The key that opened it is needed again.
  return { ...file, resourceKey: file.resourceKey ?? about.resourceKey }
}

/** @throws StorageError `FOLDER_NOT_FOUND` for what is no folder, or not there */
export async function lookAtFolder(server: DriveServer, about: DriveId, call: Call): Promise<drive_v3.Schema$File> {
  const file = await look(server, about, call, 'FOLDER_NOT_FOUND')
  if (file.mimeType !== FOLDER) throw failure('FOLDER_NOT_FOUND')
  return file
}

/** What Google calls the root of My Drive, asked once; `null` where the connection may not see it. */
export async function rootId({ client, places }: DriveServer, { signal }: Call): Promise<string | null> {
  if (places.root !== null) return places.root
  const parameters = { fileId: ROOT, supportsAllDrives: true, fields: 'id' }
  try {
    const { id = null } = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
      drive.files.get(parameters, options)
    )
    places.root = id
    return id
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND', 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')) return null
    throw error
  }
}

/**
 * Learns what Google calls the root before something is written, where what was written will not tell: the entry of it
 * needs the name, and must not fail for it afterwards.
 */
export async function rootIdFor(server: DriveServer, parent: DriveId | null, call: Call): Promise<void> {
  if (parent?.id !== ROOT) await rootId(server, call)
}

/** Learns from what was written into `parent`. */
export function learnRoot({ places }: DriveServer, parent: DriveId | null, { parents }: drive_v3.Schema$File): void {
  if (parent?.id === ROOT) places.root ??= parents?.[0] ?? null
}

/** An item by itself as an entry, the same as in the listing of its folder but for what shortcuts lead to. */
export async function toEntry(server: DriveServer, file: drive_v3.Schema$File, call: Call): Promise<Entry> {
  const { id, driveId } = file
  const [parent = null] = file.parents ?? []
  if (typeof driveId === 'string') {
    return id === driveId ? lookAtDrive(server, driveId, call) : fileEntry(file, { parentId: parent })
  }
  const root = await rootId(server, call)
  if (root !== null && id === root) return fileEntry(file, { id: ROOT, parentId: null })
  return fileEntry(file, { parentId: parent !== null && parent === root ? ROOT : parent })
}

/** Of the top of a shared drive, the file of the same id tells neither its name nor what it is. */
async function lookAtDrive({ client }: DriveServer, driveId: string, { signal }: Call): Promise<Entry> {
  const drive = await client.call({ signal, missing: 'OBJECT_NOT_FOUND' }, (drive, options) =>
    drive.drives.get({ driveId, fields: DRIVE_FIELDS }, options)
  )
  return driveEntry(drive)
}

export const DRIVE_FIELDS = 'id,name,createdTime'
