import type { ContentHash, Entry, EntryKind, ShortcutTarget } from '../../domain/entry.ts'
import { parseProviderLink } from '../../domain/provider-link.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import { formatId, formatSiteId, type ItemId, readDriveId, readItemId, readSiteId, ROOT } from './ids.ts'

/** A resource of Graph's, as it came. */
export type Resource = Readonly<Record<string, unknown>>

/** All that an entry is made of. No download address: it is a secret, and everything in a folder would have one. */
export const ITEM_FIELDS =
  'id,name,size,eTag,cTag,createdDateTime,lastModifiedDateTime,webUrl,parentReference,' +
  'root,file,folder,package,bundle,remoteItem,malware,deleted'
export const DRIVE_FIELDS = 'id,name,webUrl,createdDateTime,lastModifiedDateTime'
export const SITE_FIELDS = 'id,name,displayName,webUrl,createdDateTime,lastModifiedDateTime'

/** By the name in `file.hashes`, the best first. */
const HASHES = { sha256Hash: 'sha256', sha1Hash: 'sha1', quickXorHash: 'quickXor' } as const
const TOP_PATH = /\/root:\/?$/

export function hasFacet(item: Resource, facet: string): boolean {
  return typeof item[facet] === 'object' && item[facet] !== null
}

/** What nobody should see: albums, which hold what is elsewhere too, and what is no longer there. */
export function isHidden(item: Resource): boolean {
  return hasFacet(item, 'bundle') || hasFacet(item, 'deleted')
}

/** What has no facet that we know, the personal vault for one, can be seen at Microsoft alone, like a notebook. */
export function kindOf(item: Resource): EntryKind {
  if (hasFacet(item, 'remoteItem')) return 'shortcut'
  if (hasFacet(item, 'package')) return 'package'
  if (hasFacet(item, 'folder')) return 'folder'
  return hasFacet(item, 'file') ? 'file' : 'package'
}

/** Whether it stands at the top of its drive: of the folder itself an item tells the id, and of the top no other name. */
export function isAtTop(item: Resource): boolean {
  const { path } = asObject(item['parentReference'])
  return typeof path === 'string' && TOP_PATH.test(path)
}

/** Which item it is. @throws StorageError `PROVIDER_ERROR` where it does not say */
export function itemIdOf(item: Resource): ItemId & { readonly drive: string } {
  const id = readItemId(asObject(item['parentReference'])['driveId'], item['id'])
  if (id?.drive == null) throw failure('PROVIDER_ERROR', 'Graph told of something that has no id, or no drive')
  return { drive: id.drive, item: id.item }
}

/** What a shortcut stands for; `null` for what is no shortcut, and for one that does not say. */
export function remoteIdOf(item: Resource): ItemId | null {
  const remote = asObject(item['remoteItem'])
  return readItemId(asObject(remote['parentReference'])['driveId'], remote['id'])
}

/** A file, a folder or what else is listed. @param place how it and its folder are called here */
export function itemEntry(item: Resource, place: { readonly id?: string; readonly parentId: string | null }): Entry {
  const id = itemIdOf(item)
  const { name, cTag, eTag } = item
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Graph told of something that has no name')
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
    // Of a folder it is the size of all below.
    size: isFile ? sizeOf(item['size']) : null,
    version: isFile ? (readTag(cTag) ?? readTag(eTag)) : null,
    hash: isFile ? hashOf(item) : null,
    exportFormats: [],
    target,
    webUrl: parseProviderLink(item['webUrl']),
    thumbnailUrl: null,
    path: null,
    // What Microsoft shows can be read; whether it can be changed, a listing does not tell.
    can: { list: seen === 'folder', download: seen === 'file' && !hasFacet(item, 'malware'), write: null }
  }
}

/** A drive by itself: a library of a site, for one. */
export function driveEntry(drive: Resource, parentId: string | null): Entry {
  const id = readDriveId(drive['id'])
  const { name } = drive
  if (id === null || typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Graph told of a drive without an id')
  return placeEntry(drive, { id: formatId({ drive: id, item: ROOT }), name, parentId, driveId: id })
}

/** @returns `null` for a site whose id could not be found again: the others are no less there */
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

/** Microsoft tells of what the shortcut stands for in the shortcut: what it tells of is there. */
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

/** Tags of organisations come in quotes, and those of personal accounts do not. */
function readTag(value: unknown): string | null {
  return textOf(typeof value === 'string' ? value.replace(/^"(.*)"$/, '$1') : value)
}
