import type { Call } from '../../core/backend.ts'
import type { Egress } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import type { UploadSpool } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError } from '../../errors.ts'
import { failure, type Missing } from '../shared/errors.ts'
import { apiUrl, asObject, readJson, type RestClient, textOf } from '../shared/rest-client.ts'
import {
  DRIVE_FIELDS,
  driveEntry,
  formatId,
  hasFacet,
  isAtTop,
  isHidden,
  ITEM_FIELDS,
  itemEntry,
  type ItemId,
  itemIdOf,
  pathOf,
  readDriveId,
  readItemId,
  remoteIdOf,
  type Resource,
  ROOT
} from './entries.ts'

/** An open connection to Graph, used by every operation. */
export interface GraphServer {
  /** Sends the connection's token to the API's origin only. */
  readonly rest: RestClient
  /** The origin of the API. */
  readonly origin: string
  /** For upload and download URLs, which need no token. */
  readonly egress: Egress
  /** Allowed hosts of such URLs. */
  readonly contentHosts: readonly string[]
  readonly timeouts: Timeouts
  /** Stores uploads of unknown size: sessions and small uploads both need the size first. */
  readonly spool: UploadSpool
  readonly own: OwnDrive
}

/**
 * Gets one item.
 *
 * @param fields `null` for Graph's default fields
 * @throws StorageError `missing` if it does not exist
 */
export async function look(
  server: GraphServer,
  id: ItemId,
  { signal }: Call,
  missing: Missing,
  fields: string | null = ITEM_FIELDS
): Promise<Resource> {
  const url = apiUrl(server.origin, pathOf(id), fields === null ? {} : { $select: fields })
  const item = await server.rest.json({ url, signal, missing })
  if (isHidden(item)) throw failure(missing)
  server.own.learn(item, { isOwn: id.drive === null })
  return item
}

/** Gets one item; for a shortcut, gets its target. */
export async function lookThrough(
  server: GraphServer,
  id: ItemId,
  call: Call,
  missing: Missing,
  fields: string | null = ITEM_FIELDS
): Promise<Resource> {
  const item = await look(server, id, call, missing, fields)
  if (!hasFacet(item, 'remoteItem')) return item
  const target = remoteIdOf(item)
  if (target === null) throw failure(missing)
  return look(server, target, call, missing, fields)
}

/**
 * Runs `act` on an item. If Graph reports that the item is unsuitable and it is a shortcut, repeats `act` on its
 * target. Other items need no additional request.
 *
 * @param missing the error code of `act` for an item that does not exist
 */
export async function throughShortcut<T>(
  server: GraphServer,
  id: ItemId,
  call: Call,
  missing: Missing,
  act: (id: ItemId) => Promise<T>
): Promise<T> {
  try {
    return await act(id)
  } catch (error) {
    if (id.item === ROOT || !isStorageError(error, missing, 'INVALID_REQUEST', 'UNSUPPORTED')) throw error
    const item = await look(server, id, call, missing).catch(() => null)
    call.signal.throwIfAborted()
    const target = item === null ? null : remoteIdOf(item)
    if (target === null) throw error
    return act(target)
  }
}

/**
 * Requests the user's own drive unless it is known.
 *
 * @returns its id; `null` if the user has none or the connection may not access it
 */
export async function ownDriveId(server: GraphServer, call: Call): Promise<string | null> {
  const { own } = server
  if (own.id === null && !own.isMissing) await askOwnDrive(server, 'id,driveType', call)
  return own.id
}

/**
 * Returns the user's own drive; `null` if the user has none or the connection may not access it. Not every licence of
 * an organisation includes a drive.
 */
export async function askOwnDrive(
  { own, rest, origin }: GraphServer,
  fields: string,
  { signal }: Call
): Promise<Resource | null> {
  const ask = {
    url: apiUrl(origin, '/v1.0/me/drive', { $select: fields }),
    signal,
    missing: 'OBJECT_NOT_FOUND'
  } as const
  const answer = await rest.exchange(ask)
  if (answer.status >= 200 && answer.status <= 299) {
    const drive = await readJson(answer)
    own.learnDrive(drive)
    return drive
  }
  const why = await rest.refusal(ask, answer)
  // A 401 concerns the token and says nothing about the drive.
  const isTold = answer.status !== 401 && isStorageError(why, 'OBJECT_NOT_FOUND', 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
  if (!isTold) throw why
  own.isMissing = true
  return null
}

/** Returns the id of the top of a drive. */
export async function topName(server: GraphServer, drive: string, call: Call): Promise<string> {
  return drive === (await ownDriveId(server, call)) ? ROOT : formatId({ drive, item: ROOT })
}

/** Returns the entry of a single item, or of the top of a drive. */
export async function statItem(server: GraphServer, id: ItemId, call: Call): Promise<Entry> {
  const isDrive = id.drive !== null && id.item === ROOT
  if (isDrive && (await topName(server, id.drive, call)) !== ROOT) return lookAtDrive(server, id.drive, call)
  return toEntry(server, await look(server, id, call, 'OBJECT_NOT_FOUND'), call)
}

/** Converts a single item to the entry that its folder's listing contains. */
export async function toEntry(server: GraphServer, item: Resource, call: Call): Promise<Entry> {
  const { drive } = itemIdOf(item)
  if (hasFacet(item, 'root')) {
    const name = await topName(server, drive, call)
    return name === ROOT ? itemEntry(item, { id: ROOT, parentId: null }) : lookAtDrive(server, drive, call)
  }
  return itemEntry(item, { parentId: await parentNameOf(server, item, call) })
}

/** Returns the id of an item's folder; `null` if the item does not contain it, as for items shared by others. */
async function parentNameOf(server: GraphServer, item: Resource, call: Call): Promise<string | null> {
  const { driveId, id } = asObject(item['parentReference'])
  const parent = readItemId(driveId, id)
  if (parent?.drive == null) return null
  const isTop = isAtTop(item) || parent.item === server.own.rootItem
  return isTop ? topName(server, parent.drive, call) : formatId(parent)
}

/** Returns the entry of another user's drive, or of a site's. */
async function lookAtDrive({ origin, rest }: GraphServer, drive: string, { signal }: Call): Promise<Entry> {
  const url = apiUrl(origin, `/v1.0/drives/${encodeURIComponent(drive)}`, { $select: DRIVE_FIELDS })
  return driveEntry(await rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
}

/** The properties of the user's own drive that a connection has learned from its responses. */
export class OwnDrive {
  /** `null` if unknown. */
  id: string | null = null
  /** The item id of its top; `null` if unknown. */
  rootItem: string | null = null
  /** Graph has reported that the user has no drive, or that the connection may not access it. */
  isMissing = false
  #type: string | null = null

  /** Whether the account is personal, and so has no sites; `null` if unknown. */
  get isPersonal(): boolean | null {
    return this.#type === null ? null : this.#type === 'personal'
  }

  learnDrive(drive: Resource): void {
    this.id = readDriveId(drive['id']) ?? this.id
    this.#type = textOf(drive['driveType']) ?? this.#type
    this.isMissing &&= this.id === null
  }

  /** Stores the properties that an item contains. @param isOwn whether it was requested from the user's own drive */
  learn(item: Resource, { isOwn }: { readonly isOwn: boolean }): void {
    const { driveId, driveType, id } = asObject(item['parentReference'])
    if (isOwn) this.learnDrive({ id: driveId, driveType })
    if (this.id === null || readDriveId(driveId) !== this.id) return
    if (hasFacet(item, 'root')) this.rootItem = textOf(item['id'])
    else if (isAtTop(item)) this.rootItem = textOf(id)
  }
}
