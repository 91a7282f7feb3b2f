import type { Call } from '../../core/backend.ts'
import type { Egress } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import type { OAuthOpenContext, UploadSpool } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError } from '../../errors.ts'
import { withBearer } from '../shared/bearer.ts'
import { asObject, type JsonObject, textOf } from '../shared/entries.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { apiUrl, readJson, RestClient } from '../shared/rest-client.ts'
import { Waits } from '../shared/waits.ts'
import {
  DRIVE_FIELDS,
  driveEntry,
  formatId,
  hasFacet,
  isHidden,
  isInDriveRoot,
  ITEM_FIELDS,
  itemEntry,
  type ItemId,
  itemIdOf,
  pathOf,
  readDriveId,
  readItemId,
  remoteIdOf,
  ROOT,
  SITE_FIELDS,
  siteEntry,
  type SiteId,
  sitePathOf
} from './entries.ts'
import { graphFailure } from './errors.ts'

/** The origin and the hosts of the service. */
export interface GraphOrigins {
  /** The origin of Microsoft Graph. */
  readonly api: string
  /** Hosts of upload and download URLs, which need no token: origins, and hosts over https (`*.sharepoint.com`). */
  readonly contentHosts: readonly string[]
  /** Hosts that announce changes, in the same format. */
  readonly notificationHosts: readonly string[]
}

/** An open connection to Graph, used by every operation. */
export interface GraphSession {
  /** Sends the connection's token to the API's origin only. */
  readonly client: RestClient
  /** The origin of the API. */
  readonly origin: string
  /** For upload and download URLs, which need no token. */
  readonly egress: Egress
  /** Allowed hosts of such URLs. */
  readonly contentHosts: readonly string[]
  readonly timeouts: Timeouts
  /** Stores uploads of unknown size: sessions and small uploads both need the size first. */
  readonly spool: UploadSpool
  readonly ownDrive: OwnDrive
  readonly feeds: DriveFeeds
  readonly notificationHosts: readonly string[]
  readonly waits: Waits
}

/** Opens a connection without making a request. */
export function openSession(
  { api, contentHosts, notificationHosts }: GraphOrigins,
  { accessTokens, egress, timeouts, spool }: OAuthOpenContext
): GraphSession {
  const { origin } = new URL(api)
  const client = new RestClient(withBearer(egress, accessTokens, [origin]), timeouts.idleMs, graphFailure)
  return {
    client,
    origin,
    egress,
    contentHosts,
    notificationHosts,
    timeouts,
    spool,
    ownDrive: new OwnDrive(),
    feeds: new DriveFeeds(),
    waits: new Waits()
  }
}

/**
 * Gets one item.
 *
 * @param fields `null` for Graph's default fields
 * @throws StorageError `missing` if it does not exist
 */
export async function getItem(
  session: GraphSession,
  id: ItemId,
  { signal }: Call,
  missing: NotFoundCode,
  fields: string | null = ITEM_FIELDS
): Promise<JsonObject> {
  const url = apiUrl(session.origin, pathOf(id), fields === null ? {} : { $select: fields })
  const item = await session.client.json({ url, signal, missing })
  if (isHidden(item)) throw failure(missing)
  session.ownDrive.updateFromItem(item, { isOwn: id.drive === null })
  return item
}

/** Gets one item; for a shortcut, gets its target. */
export async function resolveItem(
  session: GraphSession,
  id: ItemId,
  call: Call,
  missing: NotFoundCode,
  fields: string | null = ITEM_FIELDS
): Promise<JsonObject> {
  const item = await getItem(session, id, call, missing, fields)
  if (!hasFacet(item, 'remoteItem')) return item
  const target = remoteIdOf(item)
  if (target === null) throw failure(missing)
  return getItem(session, target, call, missing, fields)
}

/**
 * Runs `run` on an item. If Graph reports that the item is unsuitable and it is a shortcut, repeats `run` on its
 * target. Other items need no additional request.
 *
 * @param missing the error code of `run` for an item that does not exist
 */
export async function retryOnShortcutTarget<T>(
  session: GraphSession,
  id: ItemId,
  call: Call,
  missing: NotFoundCode,
  run: (id: ItemId) => Promise<T>
): Promise<T> {
  try {
    return await run(id)
  } catch (error) {
    if (id.item === ROOT || !isStorageError(error, missing, 'INVALID_REQUEST', 'UNSUPPORTED')) throw error
    const item = await getItem(session, id, call, missing).catch(() => null)
    call.signal.throwIfAborted()
    const target = item === null ? null : remoteIdOf(item)
    if (target === null) throw error
    return run(target)
  }
}

/**
 * Requests the user's own drive unless it is known.
 *
 * @returns its id; `null` if the user has none or the connection may not access it
 */
export async function getOwnDriveId(session: GraphSession, call: Call): Promise<string | null> {
  const { ownDrive } = session
  if (ownDrive.id === null && !ownDrive.isMissing) await getOwnDrive(session, 'id,driveType', call)
  return ownDrive.id
}

/**
 * Returns the user's own drive; `null` if the user has none or the connection may not access it. Not every licence of
 * an organisation includes a drive.
 */
export async function getOwnDrive(
  { ownDrive, client, origin }: GraphSession,
  fields: string,
  { signal }: Call
): Promise<JsonObject | null> {
  const request = {
    url: apiUrl(origin, '/v1.0/me/drive', { $select: fields }),
    signal,
    missing: 'OBJECT_NOT_FOUND'
  } as const
  const response = await client.send(request)
  if (response.status >= 200 && response.status <= 299) {
    const drive = await readJson(response)
    ownDrive.updateFromDrive(drive)
    return drive
  }
  const error = await client.readError(request, response)
  // A 401 concerns the token and says nothing about the drive.
  const isConclusive =
    response.status !== 401 && isStorageError(error, 'OBJECT_NOT_FOUND', 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
  if (!isConclusive) throw error
  ownDrive.isMissing = true
  return null
}

/** Returns the id of the top of a drive. */
export async function getDriveRootId(session: GraphSession, drive: string, call: Call): Promise<string> {
  return drive === (await getOwnDriveId(session, call)) ? ROOT : formatId({ drive, item: ROOT })
}

/** Returns the entry of a single item, or of the top of a drive. */
export async function statItem(session: GraphSession, id: ItemId, call: Call): Promise<Entry> {
  const isDrive = id.drive !== null && id.item === ROOT
  if (isDrive && (await getDriveRootId(session, id.drive, call)) !== ROOT) return getDriveEntry(session, id.drive, call)
  return toEntry(session, await getItem(session, id, call, 'OBJECT_NOT_FOUND'), call)
}

/** Converts a single item to the entry that its folder's listing contains. */
export async function toEntry(session: GraphSession, item: JsonObject, call: Call): Promise<Entry> {
  const { drive } = itemIdOf(item)
  if (hasFacet(item, 'root')) {
    const name = await getDriveRootId(session, drive, call)
    return name === ROOT ? itemEntry(item, { id: ROOT, parentId: null }) : getDriveEntry(session, drive, call)
  }
  return itemEntry(item, { parentId: await getParentId(session, item, call) })
}

/** Returns the id of an item's folder; `null` if the item does not contain it, as for items shared by others. */
async function getParentId(session: GraphSession, item: JsonObject, call: Call): Promise<string | null> {
  const { driveId, id } = asObject(item['parentReference'])
  const parent = readItemId(driveId, id)
  if (parent?.drive == null) return null
  const isParentRoot = isInDriveRoot(item) || parent.item === session.ownDrive.rootItemId
  return isParentRoot ? getDriveRootId(session, parent.drive, call) : formatId(parent)
}

/** Returns the entry of another user's drive, or of a site's. */
async function getDriveEntry({ origin, client }: GraphSession, drive: string, { signal }: Call): Promise<Entry> {
  const url = apiUrl(origin, `/v1.0/drives/${encodeURIComponent(drive)}`, { $select: DRIVE_FIELDS })
  return driveEntry(await client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
}

/** Returns the entry of a site. Graph does not report its parent. */
export async function getSiteEntry({ client, origin }: GraphSession, site: SiteId, { signal }: Call): Promise<Entry> {
  const url = apiUrl(origin, sitePathOf(site), { $select: SITE_FIELDS })
  const entry = siteEntry(await client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
  if (entry === null) throw failure('PROVIDER_ERROR', 'Graph returned a site without a valid id')
  return entry
}

/** The properties of the user's own drive that a connection has learned from its responses. */
class OwnDrive {
  /** `null` if unknown. */
  id: string | null = null
  /** The item id of its top; `null` if unknown. */
  rootItemId: string | null = null
  /** Graph has reported that the user has no drive, or that the connection may not access it. */
  isMissing = false
  #type: string | null = null

  /** Whether the account is personal, and so has no sites; `null` if unknown. */
  get isPersonal(): boolean | null {
    return this.#type === null ? null : this.#type === 'personal'
  }

  updateFromDrive(drive: JsonObject): void {
    this.id = readDriveId(drive['id']) ?? this.id
    this.#type = textOf(drive['driveType']) ?? this.#type
    this.isMissing &&= this.id === null
  }

  /** Stores the properties that an item contains. @param isOwn whether it was requested from the user's own drive */
  updateFromItem(item: JsonObject, { isOwn }: { readonly isOwn: boolean }): void {
    const { driveId, driveType, id } = asObject(item['parentReference'])
    if (isOwn) this.updateFromDrive({ id: driveId, driveType })
    if (this.id === null || readDriveId(driveId) !== this.id) return
    if (hasFacet(item, 'root')) this.rootItemId = textOf(item['id'])
    else if (isInDriveRoot(item)) this.rootItemId = textOf(id)
  }
}

/** The top of a drive, as its feed of changes identifies it. */
export interface DriveRoot {
  readonly drive: string
  /** Its item id. */
  readonly item: string
  /** Its id for clients. */
  readonly id: string
}

/** Drives whose feeds a connection remembers. A forgotten one costs a request. */
const MAX_FEEDS = 100

/** The feeds of changes that a connection has learned about, by scope. */
class DriveFeeds {
  readonly #roots = new Map<string, DriveRoot | null>()

  /** Returns the top of a drive; `null` if the drive has no feed; `undefined` if neither is known. */
  get(scope: string): DriveRoot | null | undefined {
    return this.#roots.get(scope)
  }

  /** @param root `null` if the drive has no feed */
  set(scope: string, root: DriveRoot | null): void {
    this.#roots.delete(scope)
    this.#roots.set(scope, root)
    const [oldest] = this.#roots.keys()
    if (this.#roots.size > MAX_FEEDS && oldest !== undefined) this.#roots.delete(oldest)
  }
}
