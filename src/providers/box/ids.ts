import { failure, type Missing } from '../shared/http-failure.ts'

/** What Box calls the kinds of its items. Each has ids of its own: a file and a folder may share one. */
export type BoxType = 'file' | 'folder' | 'web_link'

export interface BoxId {
  readonly type: BoxType
  readonly id: string
}

/** All files of a user. */
export const ROOT: BoxId = { type: 'folder', id: '0' }

const NAMES = { file: 'file', folder: 'folder', web_link: 'link' } as const satisfies Record<BoxType, string>
const TYPES: ReadonlyMap<string, BoxType> = new Map([
  ['file', 'file'],
  ['folder', 'folder'],
  ['link', 'web_link']
])
const FORM = /^(file|folder|link):(0|[1-9]\d{0,19})$/
/** Numbers, written as texts. */
const DIGITS = /^\d{1,20}$/

/**
 * Reads an id that we gave out: `file:1`, `folder:1` or `link:1`.
 *
 * @throws StorageError `missing` for what can be no id: nothing is asked about it
 */
export function parseId(text: string, missing: Missing): BoxId {
  const [, name = '', id = ''] = FORM.exec(text) ?? []
  const type = TYPES.get(name)
  if (type === undefined) throw failure(missing)
  return { type, id }
}

/** @param text `null` is the root, as `folder:0` is @throws StorageError `FOLDER_NOT_FOUND` for what is no folder's */
export function parseFolderId(text: string | null): BoxId {
  const folder = text === null ? ROOT : parseId(text, 'FOLDER_NOT_FOUND')
  if (folder.type !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return folder
}

/** The id that we give out. */
export function formatId({ type, id }: BoxId): string {
  return `${NAMES[type]}:${id}`
}

/** What an item calls itself. @throws StorageError `PROVIDER_ERROR` */
export function readId({ type, id }: Readonly<Record<string, unknown>>): BoxId {
  const isId = typeof id === 'string' && DIGITS.test(id)
  if (isId && (type === 'file' || type === 'folder' || type === 'web_link')) return { type, id }
  throw failure('PROVIDER_ERROR', 'Box told of something that has no id, or is of no known type')
}

/** Where an item is in the API. */
export function pathOf({ type, id }: BoxId): string {
  return `/2.0/${type}s/${id}`
}
