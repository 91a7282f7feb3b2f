import { failure, type Missing } from '../shared/http-failure.ts'

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

const FORM = /^([\w!-]{1,200})\/([\w!-]{1,200})$/
/** A host name and two GUIDs ("Get a site resource"). */
const SITE = /^site:([\w.-]{1,255},[\w-]{1,64},[\w-]{1,64})$/
/** A personal drive: 16 hex digits. Their case varies between responses, and a leading zero may be missing. */
const PERSONAL_DRIVE = /^[\da-f]{1,16}$/i

/**
 * Parses an id issued by this backend: `root`, `DRIVE/ITEM`, `DRIVE/root` or `site:SITE`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(id: string, missing: Missing): ItemId | SiteId {
  const [, site] = SITE.exec(id) ?? []
  return site === undefined ? parseItemId(id, missing) : { site }
}

/** Parses the id of an item in a drive. @throws StorageError `missing`, also for the id of a site */
export function parseItemId(id: string, missing: Missing): ItemId {
  if (id === ROOT) return OWN_ROOT
  const [, drive, item] = FORM.exec(id) ?? []
  if (drive === undefined || item === undefined) throw failure(missing)
  return { drive: driveName(drive), item }
}

export function formatId({ drive, item }: ItemId): string {
  return drive === null ? ROOT : `${drive}/${item}`
}

export function formatSiteId({ site }: SiteId): string {
  return `site:${site}`
}

/** Reads a drive id from a response; `null` if it is invalid. */
export function readDriveId(value: unknown): string | null {
  return typeof value === 'string' && FORM.test(`${value}/x`) ? driveName(value) : null
}

/** Reads an item id from a response; `null` if it is invalid or cannot be represented. */
export function readItemId(drive: unknown, item: unknown): ItemId | null {
  const driveId = readDriveId(drive)
  return driveId !== null && typeof item === 'string' && FORM.test(`x/${item}`) ? { drive: driveId, item } : null
}

/** Reads a site id from a response; `null` if it is invalid or cannot be represented. */
export function readSiteId(value: unknown): SiteId | null {
  return typeof value === 'string' && SITE.test(`site:${value}`) ? { site: value } : null
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

function driveName(id: string): string {
  return PERSONAL_DRIVE.test(id) ? id.toLowerCase().padStart(16, '0') : id
}
