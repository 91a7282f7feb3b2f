import { failure, type Missing } from '../shared/http-failure.ts'

/** The one name that the top of the user's own drive has here. Graph calls it by the ids of its drive and its item too. */
export const ROOT = 'root'

/** An item, or the top of a drive where `item` is {@link ROOT}. */
export interface ItemId {
  /** `null`: the user's own, whatever its id. Only its top is named like that. */
  readonly drive: string | null
  /** Unique in its drive alone. */
  readonly item: string
}

export interface SiteId {
  readonly site: string
}

export const OWN_ROOT: ItemId = { drive: null, item: ROOT }

const FORM = /^([\w!-]{1,200})\/([\w!-]{1,200})$/
/** A host name and two GUIDs ("Get a site resource"). */
const SITE = /^site:([\w.-]{1,255},[\w-]{1,64},[\w-]{1,64})$/
/** Of a personal drive: 16 digits, whose case varies from answer to answer, and the first one of which gets lost. */
const PERSONAL_DRIVE = /^[\da-f]{1,16}$/i

/**
 * Reads an id that we gave out: `root`, `DRIVE/ITEM`, `DRIVE/root` or `site:SITE`.
 *
 * @throws StorageError `missing` for what can be no id: nothing is asked about it
 */
export function parseId(id: string, missing: Missing): ItemId | SiteId {
  const [, site] = SITE.exec(id) ?? []
  return site === undefined ? parseItemId(id, missing) : { site }
}

/** Reads the id of something in a drive. @throws StorageError `missing`, for the id of a site too */
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

/** The id of a drive out of an answer; `null` for what is none. */
export function readDriveId(value: unknown): string | null {
  return typeof value === 'string' && FORM.test(`${value}/x`) ? driveName(value) : null
}

/** The id of an item out of an answer; `null` for what is none, or could not be found again. */
export function readItemId(drive: unknown, item: unknown): ItemId | null {
  const driveId = readDriveId(drive)
  return driveId !== null && typeof item === 'string' && FORM.test(`x/${item}`) ? { drive: driveId, item } : null
}

/** The id of a site out of an answer; `null` for what is none, or could not be found again. */
export function readSiteId(value: unknown): SiteId | null {
  return typeof value === 'string' && SITE.test(`site:${value}`) ? { site: value } : null
}

/** The path of an item. */
export function pathOf({ drive, item }: ItemId): string {
  if (drive === null) return '/v1.0/me/drive/root'
  const path = `/v1.0/drives/${encodeURIComponent(drive)}`
  return item === ROOT ? `${path}/root` : `${path}/items/${encodeURIComponent(item)}`
}

/** The path of what has, or will have, a name in a folder. */
export function namedPathOf(folder: ItemId, name: string): string {
  return `${pathOf(folder)}:/${encodeURIComponent(name)}:`
}

export function sitePathOf({ site }: SiteId): string {
  return `/v1.0/sites/${encodeURIComponent(site)}`
}

function driveName(id: string): string {
  return PERSONAL_DRIVE.test(id) ? id.toLowerCase().padStart(16, '0') : id
}
