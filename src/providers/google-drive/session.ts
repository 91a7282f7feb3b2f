import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import { LRUCache } from 'lru-cache'
import type { Call } from '../../core/backend.ts'
import type { Egress } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import type { OAuthOpenContext } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError, type StorageError } from '../../errors.ts'
import { createEgressFetch } from '../../net/egress.ts'
import { connectionFailure } from '../../net/errors.ts'
import { type Send, withBearer } from '../shared/bearer.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { importSdk } from '../shared/backend.ts'
import { DRIVE_FIELDS, driveEntry, FILE_FIELDS, fileEntry, FOLDER, type ItemId, ROOT } from './entries.ts'
import { driveFailure } from './errors.ts'

/** The origins of the service. */
export interface DriveOrigins {
  /** The origin of the API, including uploads. */
  readonly api: string
  /** Origins besides the API's that serve rendered videos. They receive the user's access token. */
  readonly contentOrigins?: readonly string[]
  /** Hosts that serve rendered videos without an access token, in the format of `parseProviderUrl`. */
  readonly contentHosts?: readonly string[]
}

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

/** Google retains an operation for at least 12 hours. */
const DOWNLOAD_OPERATION_TTL_MS = 11 * 3_600_000
const MAX_DOWNLOAD_OPERATIONS = 100

/**
 * Opens a connection without making a request.
 *
 * Imports only the Drive module: all of `googleapis` blocks the event loop for seconds. `index.js` is faster than
 * `v3.js`, although it loads v2 too: Node parses a module for its exports, and `v3.js` is large (Node 20, 2026-11).
 */
export async function openSession(
  { api, contentOrigins = [], contentHosts = [] }: DriveOrigins,
  { accessTokens, egress, timeouts }: OAuthOpenContext
): Promise<DriveSession> {
  const { drive_v3: sdk } = await importSdk('googleapis', import('googleapis/build/src/apis/drive/index.js'))
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
  return {
    client: new DriveClient(drive, origin),
    driveIndex: new DriveIndex(),
    downloadOperations: new LRUCache({ max: MAX_DOWNLOAD_OPERATIONS, ttl: DOWNLOAD_OPERATION_TTL_MS }),
    origin,
    contentOrigins,
    contentHosts,
    send,
    egress,
    timeouts
  }
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

/** Checks the parent folder of a write: Google would also write into a folder in the trash. */
export async function requireParentFolder(session: DriveSession, parent: ItemId, call: Call): Promise<void> {
  if (parent.id !== ROOT) await getFolder(session, parent, call)
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

/** Returns the header with the key of an item that needs one. */
export function resourceKeyHeader(itemId: ItemId | undefined): Record<string, string> {
  if (itemId === undefined || itemId.resourceKey === null) return {}
  return { 'x-goog-drive-resource-keys': itemId.publicId }
}

interface SdkOptions {
  readonly signal: AbortSignal
  readonly headers: Record<string, string>
}

interface SdkResponse<T> {
  readonly status: number
  /** Indexed by lower-case name. */
  readonly headers: unknown
  readonly data: T
  readonly config: { readonly method?: string }
}

/** One call of the SDK, with the options that it must receive. */
type DriveCall<T> = (drive: drive_v3.Drive, options: SdkOptions) => Promise<SdkResponse<T>>

interface RequestOptions extends Call {
  /** The meaning of a 404. */
  readonly missing: NotFoundCode
  /** The requested item, which may need a resource key. */
  readonly itemId?: ItemId
}

type DriveResponse<T> = { readonly data: T } | { readonly error: StorageError; readonly status: number }

/** Calls the official client and maps its failures to StorageErrors. */
class DriveClient {
  readonly #drive: drive_v3.Drive
  readonly #url: URL

  constructor(drive: drive_v3.Drive, origin: string) {
    this.#drive = drive
    this.#url = new URL(origin)
  }

  /** Returns the data of a successful response. @throws StorageError for an error response */
  async call<T>(options: RequestOptions, run: DriveCall<T>): Promise<T> {
    const response = await this.tryCall(options, run)
    if ('error' in response) throw response.error
    return response.data
  }

  /** Returns the data of a successful response, or the error of an error response. */
  async tryCall<T>({ signal, missing, itemId }: RequestOptions, run: DriveCall<T>): Promise<DriveResponse<T>> {
    signal.throwIfAborted()
    const response = await run(this.#drive, { signal, headers: resourceKeyHeader(itemId) }).catch((error: unknown) => {
      signal.throwIfAborted()
      // The SDK wraps the errors of our fetch implementation.
      throw connectionFailure(error, 'Google Drive')
    })
    const { status, data, config } = response
    if (status < 200 || status > 299) {
      const httpResponse = { status, headers: response.headers as Record<string, string>, url: this.#url }
      return { error: driveFailure(config.method ?? 'GET', httpResponse, data, missing), status }
    }
    // The SDK returns a body that is not JSON as a string, such as the page of a captive portal.
    if (typeof data !== 'object' || data === null) {
      throw failure('PROVIDER_ERROR', 'The response of Google Drive is not valid JSON')
    }
    return { data }
  }
}

/** Maximum folders with a cached location. Without it, Google searches longer, and pages may not be covered by a feed. */
const MAX_FOLDERS = 5000
const MAX_DRIVES_WITHOUT_FEED = 1000
/** Some denials end without an entry in the user's log, such as a policy of the domain. */
const WITHOUT_FEED_TTL_MS = 3_600_000
/** Google allows 100 levels. */
const MAX_DEPTH = 200

interface FolderLocation {
  /** `null` in My Drive, and for folders that others share. */
  readonly driveId: string | null
  /** `null` for roots, and if the parent is not visible to the user. */
  readonly parentId: string | null
}

/** `unknown`: the location of the folder `id`, the folder itself or one above it, must be requested first. */
export type Whereabouts = 'my-drive' | 'shared-drive' | 'elsewhere' | { readonly unknown: string }

/** With `max`, each connection would allocate 120 KiB for entries that few have. */
function grownTo(max: number): { readonly maxSize: number; readonly sizeCalculation: () => number } {
  return { maxSize: max, sizeCalculation: () => 1 }
}

/** The locations of folders that a connection has learned from its responses. */
class DriveIndex {
  /** Google's id of the root of My Drive; `null` if unknown. */
  rootId: string | null = null
  /** Whether the caller reads the feed of changes. Only then are locations requested. */
  isFeedRead = false
  /** Folders, and the shared drives themselves, by id. */
  readonly #folders = new LRUCache<string, FolderLocation>(grownTo(MAX_FOLDERS))
  /** Shared drives of which the user is no member, although some of their items are shared with the user. */
  readonly #drivesWithoutFeed = new LRUCache<string, true>({
    ...grownTo(MAX_DRIVES_WITHOUT_FEED),
    ttl: WITHOUT_FEED_TTL_MS
  })

  driveIdOf(folderId: string): string | null {
    return this.#folders.get(folderId)?.driveId ?? null
  }

  /** Returns where a folder is, following its parents as far as they are known. */
  whereIs(folderId: string): Whereabouts {
    let id = folderId
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (id === this.rootId) return 'my-drive'
      const location = this.#folders.get(id)
      if (location === undefined) return { unknown: id }
      if (location.driveId !== null) return 'shared-drive'
      if (location.parentId === null) return 'elsewhere'
      id = location.parentId
    }
    return 'elsewhere'
  }

  has(folderId: string): boolean {
    return this.#folders.has(folderId)
  }

  addDrive(driveId: string): void {
    this.#folders.set(driveId, { driveId, parentId: null })
  }

  /** Stores the location of a folder. */
  updateFromFile({ id, mimeType, driveId, parents }: drive_v3.Schema$File): void {
    if (typeof id !== 'string' || mimeType !== FOLDER) return
    this.#folders.set(id, { driveId: driveId ?? null, parentId: parents?.[0] ?? null })
  }

  delete(folderId: string): void {
    this.#folders.delete(folderId)
  }

  hasFeed(driveId: string): boolean {
    return !this.#drivesWithoutFeed.has(driveId)
  }

  setHasFeed(driveId: string, hasFeed: boolean): void {
    if (hasFeed) this.#drivesWithoutFeed.delete(driveId)
    else this.#drivesWithoutFeed.set(driveId, true)
  }
}
