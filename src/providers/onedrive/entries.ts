import type { ContentHash, Entry, EntryKind, ShortcutTarget } from '../../core/entry.ts'
import { parseProviderLink } from '../../core/provider-link.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { asObject, type JsonObject, parseIsoTime, sizeOf, textOf, UNKNOWN_METADATA } from '../shared/entries.ts'

/** All fields that an entry needs. No download URL: it is a secret, and a listing would contain one for each file. */
export const ITEM_FIELDS =
  'id,name,size,eTag,cTag,createdDateTime,lastModifiedDateTime,webUrl,parentReference,' +
  'root,file,folder,package,bundle,remoteItem,malware,deleted'
/** Includes `root`, which marks the top of a drive: the parent id in a top's `parentReference` is not an item. */
export const DRIVE_ROOT_FIELDS = 'id,parentReference,root'
export const DRIVE_FIELDS = 'id,name,webUrl,createdDateTime,lastModifiedDateTime'
export const SITE_FIELDS = 'id,name,displayName,webUrl,createdDateTime,lastModifiedDateTime'

/** Algorithms by their name in `file.hashes`, the preferred one first. */
const HASHES = { sha256Hash: 'sha256', sha1Hash: 'sha1', quickXorHash: 'quickXor' } as const
const DRIVE_ROOT_PATH = /\/root:\/?$/

export function hasFacet(item: JsonObject, facet: string): boolean {
  return typeof item[facet] === 'object' && item[facet] !== null
}

/** Returns whether an item is not listed: albums (their items are listed elsewhere too) and deleted items. */
export function isHidden(item: JsonObject): boolean {
  return hasFacet(item, 'bundle') || hasFacet(item, 'deleted')
}

/** Items without a known facet, such as the personal vault, can be opened at Microsoft only, like a notebook. */
export function kindOf(item: JsonObject): EntryKind {
  if (hasFacet(item, 'remoteItem')) return 'shortcut'
  if (hasFacet(item, 'package')) return 'package'
  if (hasFacet(item, 'folder')) return 'folder'
  return hasFacet(item, 'file') ? 'file' : 'package'
}

/** Returns whether an item is at the top of its drive, which the id of its folder alone does not show. */
export function isInDriveRoot(item: JsonObject): boolean {
  const { path } = asObject(item['parentReference'])
  return typeof path === 'string' && DRIVE_ROOT_PATH.test(path)
}

/** Returns the id of an item. @throws StorageError `PROVIDER_ERROR` if it has none */
export function itemIdOf(item: JsonObject): ItemId & { readonly drive: string } {
  const id = readItemId(asObject(item['parentReference'])['driveId'], item['id'])
  if (id?.drive == null) throw failure('PROVIDER_ERROR', 'Graph returned an item without an id or a drive')
  return { drive: id.drive, item: id.item }
}

/** Returns the id of a shortcut's target; `null` if the item is no shortcut or does not contain it. */
export function remoteIdOf(item: JsonObject): ItemId | null {
  const remote = asObject(item['remoteItem'])
  return readItemId(asObject(remote['parentReference'])['driveId'], remote['id'])
}

/** Converts an item. @param location the id to use instead of the item's own, and the id of its folder */
export function itemEntry(
  item: JsonObject,
  location: { readonly id?: string; readonly parentId: string | null }
): Entry {
  const id = itemIdOf(item)
  const { name, cTag, eTag } = item
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Graph returned an item without a name')
  const kind = kindOf(item)
  const isFile = kind === 'file'
  const target = kind === 'shortcut' ? targetOf(item) : null
  const effectiveKind = target?.kind ?? kind
  const { mimeType } = asObject(item['file'])
  return {
    ...timesOf(item),
    id: location.id ?? formatId(id),
    parentId: location.parentId,
    driveId: id.drive,
    name,
    kind,
    mimeType: isFile ? textOf(mimeType) : null,
    // For a folder, Graph reports the size of everything below it.
    size: isFile ? sizeOf(item['size']) : null,
    version: isFile ? (readEtag(cTag) ?? readEtag(eTag)) : null,
    hash: isFile ? hashOf(item) : null,
    exportFormats: [],
    target,
    webUrl: parseProviderLink(item['webUrl']),
    thumbnailUrl: null,
    path: null,
    // Every visible item can be read. A listing does not show whether it can be changed.
    can: {
      list: effectiveKind === 'folder',
      download: effectiveKind === 'file' && !hasFacet(item, 'malware'),
      write: null
    }
  }
}

/** Converts a drive, such as a library of a site. */
export function driveEntry(drive: JsonObject, parentId: string | null): Entry {
  const id = readDriveId(drive['id'])
  const { name } = drive
  if (id === null || typeof name !== 'string')
    throw failure('PROVIDER_ERROR', 'Graph returned a drive without an id or a name')
  return containerEntry(drive, { id: formatId({ drive: id, item: ROOT }), name, parentId, driveId: id })
}

/** @returns `null` for a site with an unusable id, so that the other sites are still listed */
export function siteEntry(site: JsonObject, parentId: string | null): Entry | null {
  const id = readSiteId(site['id'])
  if (id === null) return null
  const name = textOf(site['displayName']) ?? textOf(site['name']) ?? textOf(site['webUrl']) ?? id.site
  return containerEntry(site, { id: formatSiteId(id), name, parentId, driveId: null })
}

function containerEntry(resource: JsonObject, properties: Pick<Entry, 'id' | 'name' | 'parentId' | 'driveId'>): Entry {
  const can = { list: true, download: false, write: null }
  return {
    ...UNKNOWN_METADATA,
    ...timesOf(resource),
    ...properties,
    kind: 'drive',
    webUrl: parseProviderLink(resource['webUrl']),
    can
  }
}

function timesOf(resource: JsonObject): Pick<Entry, 'createdAt' | 'modifiedAt'> {
  return {
    createdAt: parseIsoTime(resource['createdDateTime']),
    modifiedAt: parseIsoTime(resource['lastModifiedDateTime'])
  }
}

/** A shortcut contains the metadata of its target, so a target with metadata exists. */
function targetOf(item: JsonObject): ShortcutTarget {
  const remote = asObject(item['remoteItem'])
  const id = remoteIdOf(item)
  const hasMetadata = ['file', 'folder', 'package'].some((facet) => hasFacet(remote, facet))
  return {
    id: id === null ? null : formatId(id),
    kind: hasMetadata ? kindOf(remote) : null,
    mimeType: textOf(asObject(remote['file'])['mimeType']),
    state: hasFacet(remote, 'deleted') ? 'dangling' : hasMetadata && id !== null ? 'ok' : 'unknown'
  }
}

function hashOf(item: JsonObject): ContentHash | null {
  const hashes = asObject(asObject(item['file'])['hashes'])
  for (const [name, algorithm] of Object.entries(HASHES)) {
    const value = textOf(hashes[name])
    if (value !== null) return { algorithm, value }
  }
  return null
}

/** ETags are quoted for organisations, and unquoted for personal accounts. */
function readEtag(value: unknown): string | null {
  return textOf(typeof value === 'string' ? value.replace(/^"(.*)"$/, '$1') : value)
}

/** The only id of the user's own root here. Graph also identifies it by the ids of its drive and its item. */
export const ROOT = 'root'

/** An item, or the top of a drive if `item` is {@link ROOT}. */
export interface ItemId {
  /** `null` for the user's own drive, whatever its id. Used for its top only. */
  readonly drive: string | null
  /** Unique within its drive only. */
  readonly item: string
}

export interface SiteId {
  readonly site: string
}

export const OWN_ROOT: ItemId = { drive: null, item: ROOT }

const ID_PATTERN = /^([\w!-]{1,200})\/([\w!-]{1,200})$/
/** A host name and two GUIDs ("Get a site resource"). */
const SITE_ID_PATTERN = /^site:([\w.-]{1,255},[\w-]{1,64},[\w-]{1,64})$/
/** A personal drive: 16 hex digits. Their case varies between responses, and a leading zero may be missing. */
const PERSONAL_DRIVE_ID = /^[\da-f]{1,16}$/i

/**
 * Parses an id issued by this backend: `root`, `DRIVE/ITEM`, `DRIVE/root` or `site:SITE`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(id: string, missing: NotFoundCode): ItemId | SiteId {
  const [, site] = SITE_ID_PATTERN.exec(id) ?? []
  return site === undefined ? parseItemId(id, missing) : { site }
}

/** @param id `null` is the user's own root @throws StorageError `FOLDER_NOT_FOUND` for an invalid id */
export function parseFolderId(id: string | null): ItemId | SiteId {
  return parseId(id ?? ROOT, 'FOLDER_NOT_FOUND')
}

/** Parses the id of an item in a drive. @throws StorageError `missing`, also for the id of a site */
export function parseItemId(id: string, missing: NotFoundCode): ItemId {
  if (id === ROOT) return OWN_ROOT
  const [, drive, item] = ID_PATTERN.exec(id) ?? []
  if (drive === undefined || item === undefined) throw failure(missing)
  return { drive: normalizeDriveId(drive), item }
}

/** @throws StorageError `missing` for the id of a site, which is listed but has no content of its own */
export function requireItem(id: ItemId | SiteId, missing: NotFoundCode): ItemId {
  if ('site' in id) throw failure(missing)
  return id
}

export function formatId({ drive, item }: ItemId): string {
  return drive === null ? ROOT : `${drive}/${item}`
}

export function formatSiteId({ site }: SiteId): string {
  return `site:${site}`
}

/** Reads a drive id from a response; `null` if it is invalid. */
export function readDriveId(value: unknown): string | null {
  return typeof value === 'string' && ID_PATTERN.test(`${value}/x`) ? normalizeDriveId(value) : null
}

/** Reads an item id from a response; `null` if it is invalid or cannot be represented. */
export function readItemId(drive: unknown, item: unknown): ItemId | null {
  const driveId = readDriveId(drive)
  return driveId !== null && typeof item === 'string' && ID_PATTERN.test(`x/${item}`) ? { drive: driveId, item } : null
}

/** Reads a site id from a response; `null` if it is invalid or cannot be represented. */
function readSiteId(value: unknown): SiteId | null {
  return typeof value === 'string' && SITE_ID_PATTERN.test(`site:${value}`) ? { site: value } : null
}

/** Returns the API path of an item. */
export function pathOf({ drive, item }: ItemId): string {
  if (drive === null) return '/v1.0/me/drive/root'
  const path = `/v1.0/drives/${encodeURIComponent(drive)}`
  return item === ROOT ? `${path}/root` : `${path}/items/${encodeURIComponent(item)}`
}

/** Returns the API path of an existing or future item with a name in a folder. */
export function namedPathOf(folder: ItemId, name: string): string {
  return `${pathOf(folder)}:/${encodeURIComponent(name)}:`
}

export function sitePathOf({ site }: SiteId): string {
  return `/v1.0/sites/${encodeURIComponent(site)}`
}

function normalizeDriveId(id: string): string {
  return PERSONAL_DRIVE_ID.test(id) ? id.toLowerCase().padStart(16, '0') : id
}
