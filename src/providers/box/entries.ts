import type { Entry, EntryKind } from '../../domain/entry.ts'
import { parseProviderLink } from '../../domain/provider-link.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { asObject, sizeOf } from '../shared/read-json.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import { type BoxId, type BoxType, formatId, readId, ROOT } from './ids.ts'

/** An item as Box tells of it. */
export type BoxItem = Readonly<Record<string, unknown>>

/** What the user sees in the browser, by type and id. */
const APP = 'https://app.box.com'
/** Where an item that is neither in the trash nor deleted stands ("File (Full)", `item_status`). */
const ACTIVE = 'active'
const ETAG = /^[\w-]{1,64}$/

const COMMON = ['type', 'id', 'etag', 'name', 'created_at', 'modified_at', 'item_status']
const OWN = {
  file: ['size', 'sha1', 'content_created_at', 'content_modified_at', 'is_package', 'permissions'],
  folder: ['permissions'],
  web_link: ['url']
} as const satisfies Record<BoxType, readonly string[]>

/** All that the entries of a listing are made of; its folder is known. */
export const LISTED_FIELDS = [...COMMON, ...OWN.file, ...OWN.web_link].join()

/**
 * The `fields` parameter for the entry of one item. Box documents none for `GET /web_links/{id}`, whose default response
 * contains all of these.
 */
export function fieldsOf(type: Exclude<BoxType, 'web_link'>): string {
  return [...COMMON, ...OWN[type], 'parent'].join()
}

/** @param folder where it was listed; left out: it says itself where it is */
export function boxEntry(item: BoxItem, folder?: BoxId): Entry {
  const about = readId(item)
  const { name, size, sha1 } = item
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Box told of something that has no name')
  const isFile = about.type === 'file'
  return {
    ...UNKNOWN_FACTS,
    id: formatId(about),
    parentId: parentOf(about, item, folder),
    name,
    kind: kindOf(about, item),
    size: isFile ? sizeOf(size) : null,
    createdAt: timeOf(about, item, 'created_at'),
    modifiedAt: timeOf(about, item, 'modified_at'),
    version: isFile ? readEtag(item) : null,
    hash: isFile && typeof sha1 === 'string' && sha1 !== '' ? { algorithm: 'sha1', value: sha1 } : null,
    webUrl: webUrlOf(about, item),
    can: abilitiesOf(about, item)
  }
}

/** What `If-Match` takes. It changes with anything about an item, its name too. */
export function readEtag({ etag }: BoxItem): string | null {
  return typeof etag === 'string' && ETAG.test(etag) ? etag : null
}

/** Whether it can be seen where it stands: Box tells of what is in the trash too. */
export function isActive({ item_status: status }: BoxItem): boolean {
  return status === undefined || status === null || status === ACTIVE
}

function kindOf({ type }: BoxId, item: BoxItem): EntryKind {
  if (type === 'web_link') return 'link'
  if (type === 'folder') return 'folder'
  // A bundle of a Mac, which looks like one file there.
  return item['is_package'] === true ? 'package' : 'file'
}

function parentOf(about: BoxId, { parent }: BoxItem, folder: BoxId | undefined): string | null {
  if (folder !== undefined) return formatId(folder)
  if (about.type === ROOT.type && about.id === ROOT.id) return null
  // Of what others share, the folder around it may not be the user's to see.
  return typeof parent === 'object' && parent !== null ? formatId(readId(asObject(parent))) : null
}

/** Of a file that is the content's own, from where it came from. */
function timeOf({ type }: BoxId, item: BoxItem, name: string): string | null {
  const ofContent = type === 'file' ? readIsoTime(item[`content_${name}`]) : null
  return ofContent ?? readIsoTime(item[name])
}

/** Of a link it is where it leads: that is all that there is to open. */
function webUrlOf({ type, id }: BoxId, { url }: BoxItem): string | null {
  if (type !== 'web_link') return `${APP}/${type}/${id}`
  return parseProviderLink(url)
}

function abilitiesOf({ type }: BoxId, item: BoxItem): Entry['can'] {
  const permissions = asObject(item['permissions'])
  const may = (name: string): boolean | null => {
    const value = permissions[name]
    return typeof value === 'boolean' ? value : null
  }
  return {
    // Of a folder Box does not tell.
    list: type === 'folder' ? null : false,
    download: type === 'file' ? may('can_download') : false,
    // Into a folder, or a new version of a file.
    write: type === 'web_link' ? null : may('can_upload')
  }
}
