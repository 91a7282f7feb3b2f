import type { Entry, EntryKind } from '../../core/entry.ts'
import { parseProviderLink } from '../../core/provider-link.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { asObject, type JsonObject, parseIsoTime, sizeOf, UNKNOWN_METADATA } from '../shared/entries.ts'

/** The web application; items are addressed by type and id. */
const APP = 'https://app.box.com'
/** The `item_status` of an item that is neither in the trash nor deleted ("File (Full)"). */
const ACTIVE = 'active'
const ETAG = /^[\w-]{1,64}$/

const COMMON_FIELDS = ['type', 'id', 'etag', 'name', 'created_at', 'modified_at', 'item_status']
const FIELDS_BY_TYPE = {
  file: ['size', 'sha1', 'content_created_at', 'content_modified_at', 'is_package', 'permissions'],
  folder: ['permissions'],
  web_link: ['url']
} as const satisfies Record<BoxType, readonly string[]>

/** All fields that the entries of a listing need. Their folder is known. */
export const LIST_FIELDS = [...COMMON_FIELDS, ...FIELDS_BY_TYPE.file, ...FIELDS_BY_TYPE.web_link].join()

/**
 * Returns the `fields` parameter for a single item. Box documents none for `GET /web_links/{id}`; its default
 * response contains all of these.
 */
export function fieldsOf(type: Exclude<BoxType, 'web_link'>): string {
  return [...COMMON_FIELDS, ...FIELDS_BY_TYPE[type], 'parent'].join()
}

/** Converts an item. @param folder the listed folder; if omitted, the item's own `parent` is used */
export function boxEntry(item: JsonObject, folder?: ItemId): Entry {
  const itemId = readId(item)
  const { name, size, sha1 } = item
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Box returned an item without a name')
  const isFile = itemId.type === 'file'
  return {
    ...UNKNOWN_METADATA,
    id: formatId(itemId),
    parentId: parentOf(itemId, item, folder),
    name,
    kind: kindOf(itemId, item),
    size: isFile ? sizeOf(size) : null,
    createdAt: timeOf(itemId, item, 'created_at'),
    modifiedAt: timeOf(itemId, item, 'modified_at'),
    version: isFile ? readEtag(item) : null,
    hash: isFile && typeof sha1 === 'string' && sha1 !== '' ? { algorithm: 'sha1', value: sha1 } : null,
    webUrl: webUrlOf(itemId, item),
    can: permissionsOf(itemId, item)
  }
}

/** Returns the value for `If-Match`. It changes with any property of the item, including its name. */
export function readEtag({ etag }: JsonObject): string | null {
  return typeof etag === 'string' && ETAG.test(etag) ? etag : null
}

/** Returns whether an item is active: Box also returns items in the trash. */
export function isActive({ item_status: status }: JsonObject): boolean {
  return status === undefined || status === null || status === ACTIVE
}

function kindOf({ type }: ItemId, item: JsonObject): EntryKind {
  if (type === 'web_link') return 'link'
  if (type === 'folder') return 'folder'
  // A macOS bundle, which macOS shows as one file.
  return item['is_package'] === true ? 'package' : 'file'
}

function parentOf(itemId: ItemId, { parent }: JsonObject, folder: ItemId | undefined): string | null {
  if (folder !== undefined) return formatId(folder)
  if (itemId.type === ROOT.type && itemId.id === ROOT.id) return null
  // The folder that contains a shared item may be inaccessible to the user.
  return typeof parent === 'object' && parent !== null ? formatId(readId(asObject(parent))) : null
}

/** For files, prefers the time of the content, which its origin set, over the time in Box. */
function timeOf({ type }: ItemId, item: JsonObject, name: string): string | null {
  const contentTime = type === 'file' ? parseIsoTime(item[`content_${name}`]) : null
  return contentTime ?? parseIsoTime(item[name])
}

/** Returns the target of a web link, and the web application's page of other items. */
function webUrlOf({ type, id }: ItemId, { url }: JsonObject): string | null {
  if (type !== 'web_link') return `${APP}/${type}/${id}`
  return parseProviderLink(url)
}

function permissionsOf({ type }: ItemId, item: JsonObject): Entry['can'] {
  const permissions = asObject(item['permissions'])
  const readPermission = (name: string): boolean | null => {
    const value = permissions[name]
    return typeof value === 'boolean' ? value : null
  }
  return {
    // Box reports no such permission for folders.
    list: type === 'folder' ? null : false,
    download: type === 'file' ? readPermission('can_download') : false,
    // Uploading into a folder, or uploading a new version of a file.
    write: type === 'web_link' ? null : readPermission('can_upload')
  }
}

/** Box's names of item types. Each type has its own ids: a file and a folder may have the same one. */
export type BoxType = 'file' | 'folder' | 'web_link'

export interface ItemId {
  readonly type: BoxType
  readonly id: string
}

/** The root folder. */
export const ROOT: ItemId = { type: 'folder', id: '0' }

const PREFIX_BY_TYPE = { file: 'file', folder: 'folder', web_link: 'link' } as const satisfies Record<BoxType, string>
const TYPE_BY_PREFIX: ReadonlyMap<string, BoxType> = new Map([
  ['file', 'file'],
  ['folder', 'folder'],
  ['link', 'web_link']
])
const ID_PATTERN = /^(file|folder|link):(0|[1-9]\d{0,19})$/
/** Numeric ids, as strings. */
const DIGITS = /^\d{1,20}$/

/**
 * Parses an id issued by this backend: `file:1`, `folder:1` or `link:1`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(text: string, missing: NotFoundCode): ItemId {
  const [, prefix = '', id = ''] = ID_PATTERN.exec(text) ?? []
  const type = TYPE_BY_PREFIX.get(prefix)
  if (type === undefined) throw failure(missing)
  return { type, id }
}

/** @param text `null` and `folder:0` are the root @throws StorageError `FOLDER_NOT_FOUND` unless it is a folder id */
export function parseFolderId(text: string | null): ItemId {
  const folder = text === null ? ROOT : parseId(text, 'FOLDER_NOT_FOUND')
  if (folder.type !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return folder
}

/** Formats the id that clients receive. */
export function formatId({ type, id }: ItemId): string {
  return `${PREFIX_BY_TYPE[type]}:${id}`
}

/** Reads the id of an item. @throws StorageError `PROVIDER_ERROR` */
export function readId(item: JsonObject): ItemId {
  const itemId = findId(item)
  if (itemId === null) throw failure('PROVIDER_ERROR', 'Box returned an item without an id or of an unknown type')
  return itemId
}

/** Reads the id of a value that may be an item; returns `null` if it is none. */
export function findId({ type, id }: JsonObject): ItemId | null {
  const isId = typeof id === 'string' && DIGITS.test(id)
  return isId && (type === 'file' || type === 'folder' || type === 'web_link') ? { type, id } : null
}

/** Returns the path of an item in the API. */
export function pathOf({ type, id }: ItemId): string {
  return `/2.0/${type}s/${id}`
}
