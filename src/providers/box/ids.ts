import { failure, type Missing } from '../shared/http-failure.ts'

/** Box's names of item types. Each type has its own ids: a file and a folder may have the same one. */
export type BoxType = 'file' | 'folder' | 'web_link'

export interface BoxId {
  readonly type: BoxType
  readonly id: string
}

/** The root folder. */
export const ROOT: BoxId = { type: 'folder', id: '0' }

const NAMES = { file: 'file', folder: 'folder', web_link: 'link' } as const satisfies Record<BoxType, string>
const TYPES: ReadonlyMap<string, BoxType> = new Map([
  ['file', 'file'],
  ['folder', 'folder'],
  ['link', 'web_link']
])
const FORM = /^(file|folder|link):(0|[1-9]\d{0,19})$/
/** Numeric ids, as strings. */
const DIGITS = /^\d{1,20}$/

/**
 * Parses an id issued by this backend: `file:1`, `folder:1` or `link:1`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(text: string, missing: Missing): BoxId {
  const [, name = '', id = ''] = FORM.exec(text) ?? []
  const type = TYPES.get(name)
  if (type === undefined) throw failure(missing)
  return { type, id }
}

/** @param text `null` and `folder:0` are the root @throws StorageError `FOLDER_NOT_FOUND` unless it is a folder id */
export function parseFolderId(text: string | null): BoxId {
  const folder = text === null ? ROOT : parseId(text, 'FOLDER_NOT_FOUND')
  if (folder.type !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return folder
}

/** Formats the id that clients receive. */
export function formatId({ type, id }: BoxId): string {
  return `${NAMES[type]}:${id}`
}

/** Reads the id of an item. @throws StorageError `PROVIDER_ERROR` */
export function readId({ type, id }: Readonly<Record<string, unknown>>): BoxId {
  const isId = typeof id === 'string' && DIGITS.test(id)
  if (isId && (type === 'file' || type === 'folder' || type === 'web_link')) return { type, id }
  throw failure('PROVIDER_ERROR', 'Box returned an item without an id or of an unknown type')
}

/** Returns the path of an item in the API. */
export function pathOf({ type, id }: BoxId): string {
  return `/2.0/${type}s/${id}`
}
