import type { ContentHash, Entry, EntryKind, ShortcutTarget } from '../../domain/entry.ts'
import { parseProviderLink } from '../../domain/provider-link.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import { formatId, formatSiteId, type ItemId, readDriveId, readItemId, readSiteId, ROOT } from './ids.ts'

/** A resource in a Graph response, unchecked. */
export type Resource = Readonly<Record<string, unknown>>

/** All fields that an entry needs. No download URL: it is a secret, and a listing would contain one for each file. */
export const ITEM_FIELDS =
  'id,name,size,eTag,cTag,createdDateTime,lastModifiedDateTime,webUrl,parentReference,' +
  'root,file,folder,package,bundle,remoteItem,malware,deleted'
export const DRIVE_FIELDS = 'id,name,webUrl,createdDateTime,lastModifiedDateTime'
export const SITE_FIELDS = 'id,name,displayName,webUrl,createdDateTime,lastModifiedDateTime'

/** Algorithms by their name in `file.hashes`, the preferred one first. */
const HASHES = { sha256Hash: 'sha256', sha1Hash: 'sha1', quickXorHash: 'quickXor' } as const
const TOP_PATH = /\/root:\/?$/

export function hasFacet(item: Resource, facet: string): boolean {
  return typeof item[facet] === 'object' && item[facet] !== null
}

/** Returns whether an item is not listed: albums (their items are listed elsewhere too) and deleted items. */
export function isHidden(item: Resource): boolean {
  return hasFacet(item, 'bundle') || hasFacet(item, 'deleted')
}

/** Items without a known facet, such as the personal vault, can be opened at Microsoft only, like a notebook. */
export function kindOf(item: Resource): EntryKind {
  if (hasFacet(item, 'remoteItem')) return 'shortcut'
  if (hasFacet(item, 'package')) return 'package'
  if (hasFacet(item, 'folder')) return 'folder'
  return hasFacet(item, 'file') ? 'file' : 'package'
}

/** Returns whether an item is at the top of its drive, which the id of its folder alone does not show. */
export function isAtTop(item: Resource): boolean {
  const { path } = asObject(item['parentReference'])
  return typeof path === 'string' && TOP_PATH.test(path)
}

/** Returns the id of an item. @throws StorageError `PROVIDER_ERROR` if it has none */
export function itemIdOf(item: Resource): ItemId & { readonly drive: string } {
  const id = readItemId(asObject(item['parentReference'])['driveId'], item['id'])
  if (id?.drive == null) throw failure('PROVIDER_ERROR', 'Graph returned an item without an id or a drive')
  return { drive: id.drive, item: id.item }
}

/** Returns the id of a shortcut's target; `null` if the item is no shortcut or does not contain it. */
export function remoteIdOf(item: Resource): ItemId | null {
  const remote = asObject(item['remoteItem'])
  return readItemId(asObject(remote['parentReference'])['driveId'], remote['id'])
}

/** Converts an item. @param place the id to use instead of the item's own, and the id of its folder */
export function itemEntry(item: Resource, place: { readonly id?: string; readonly parentId: string | null }): Entry {
  const id = itemIdOf(item)
  const { name, cTag, eTag } = item
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Graph returned an item without a name')
  const kind = kindOf(item)
  const isFile = kind === 'file'
  const target = kind === 'shortcut' ? targetOf(item) : null
  const seen = target?.kind ?? kind
  const { mimeType } = asObject(item['file'])
  return {
    ...timesOf(item),
    id: place.id ?? formatId(id),
    parentId: place.parentId,
    driveId: id.drive,
    name,
    kind,
    mimeType: isFile ? textOf(mimeType) : null,
    // For a folder, Graph reports the size of everything below it.
    size: isFile ? sizeOf(item['size']) : null,
    version: isFile ? (readTag(cTag) ?? readTag(eTag)) : null,
    hash: isFile ? hashOf(item) : null,
    exportFormats: [],
    target,
    webUrl: parseProviderLink(item['webUrl']),
    thumbnailUrl: null,
    path: null,
    // Every visible item can be read. A listing does not show whether it can be changed.
    can: { list: seen === 'folder', download: seen === 'file' && !hasFacet(item, 'malware'), write: null }
  }
}

/** Converts a drive, such as a library of a site. */
export function driveEntry(drive: Resource, parentId: string | null): Entry {
  const id = readDriveId(drive['id'])
  const { name } = drive
  if (id === null || typeof name !== 'string')
    throw failure('PROVIDER_ERROR', 'Graph returned a drive without an id or a name')
  return placeEntry(drive, { id: formatId({ drive: id, item: ROOT }), name, parentId, driveId: id })
}

/** @returns `null` for a site with an unusable id, so that the other sites are still listed */
export function siteEntry(site: Resource, parentId: string | null): Entry | null {
  const id = readSiteId(site['id'])
  if (id === null) return null
  const name = textOf(site['displayName']) ?? textOf(site['name']) ?? textOf(site['webUrl']) ?? id.site
  return placeEntry(site, { id: formatSiteId(id), name, parentId, driveId: null })
}

function placeEntry(resource: Resource, place: Pick<Entry, 'id' | 'name' | 'parentId' | 'driveId'>): Entry {
  const can = { list: true, download: false, write: null }
  return {
    ...UNKNOWN_FACTS,
    ...timesOf(resource),
    ...place,
    kind: 'drive',
    webUrl: parseProviderLink(resource['webUrl']),
    can
  }
}

function timesOf(resource: Resource): Pick<Entry, 'createdAt' | 'modifiedAt'> {
  return {
    createdAt: readIsoTime(resource['createdDateTime']),
    modifiedAt: readIsoTime(resource['lastModifiedDateTime'])
  }
}

/** A shortcut contains the metadata of its target, so a target with metadata exists. */
function targetOf(item: Resource): ShortcutTarget {
  const remote = asObject(item['remoteItem'])
  const id = remoteIdOf(item)
  const isTold = ['file', 'folder', 'package'].some((facet) => hasFacet(remote, facet))
  return {
    id: id === null ? null : formatId(id),
    kind: isTold ? kindOf(remote) : null,
    mimeType: textOf(asObject(remote['file'])['mimeType']),
    state: hasFacet(remote, 'deleted') ? 'dangling' : isTold && id !== null ? 'ok' : 'unknown'
  }
}

function hashOf(item: Resource): ContentHash | null {
  const hashes = asObject(asObject(item['file'])['hashes'])
  for (const [name, algorithm] of Object.entries(HASHES)) {
    const value = textOf(hashes[name])
    if (value !== null) return { algorithm, value }
  }
  return null
}

/** ETags are quoted for organisations, and unquoted for personal accounts. */
function readTag(value: unknown): string | null {
  return textOf(typeof value === 'string' ? value.replace(/^"(.*)"$/, '$1') : value)
}
