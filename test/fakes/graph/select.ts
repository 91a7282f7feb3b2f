import { GraphMistake } from './failure.ts'

export const DOWNLOAD_URL = '@microsoft.graph.downloadUrl'

const BASE_PROPERTIES = [
  'id',
  'name',
  'webUrl',
  'createdDateTime',
  'lastModifiedDateTime',
  'createdBy',
  'lastModifiedBy',
  'eTag'
]
const SIZES = ['small', 'medium', 'large'] as const

export type ThumbnailSize = (typeof SIZES)[number]

/** All names that `$select` accepts, including those that the fake never returns. */
export const ITEM_PROPERTIES = [
  ...[...BASE_PROPERTIES, 'size', 'cTag', 'parentReference', 'fileSystemInfo', 'description', DOWNLOAD_URL],
  ...['file', 'folder', 'package', 'bundle', 'remoteItem', 'root', 'specialFolder', 'shared', 'malware', 'deleted'],
  ...['audio', 'image', 'location', 'photo', 'video', 'publication', 'searchResult', 'sharepointIds', 'webDavUrl']
]
export const DRIVE_PROPERTIES = [
  ...BASE_PROPERTIES,
  'description',
  'driveType',
  'owner',
  'quota',
  'sharePointIds',
  'system'
]
export const SITE_PROPERTIES = [
  ...BASE_PROPERTIES,
  'description',
  'displayName',
  'root',
  'siteCollection',
  'sharepointIds'
]
export const USER_PROPERTIES = [
  ...['id', 'displayName', 'givenName', 'surname', 'userPrincipalName', 'mail', 'preferredLanguage'],
  ...['businessPhones', 'mobilePhone', 'jobTitle', 'officeLocation']
]

/** The selected properties. */
export class GraphSelect {
  readonly #names: ReadonlySet<string> | undefined

  /** @param text the value of `$select`; null selects all default properties */
  constructor(text: string | null, known: readonly string[]) {
    const names = text?.split(',')
    const unknown = names?.filter((name) => !known.includes(name)) ?? []
    if (unknown.length > 0) throw new GraphMistake(`$select with ${unknown.join()}`)
    if (names !== undefined && new Set(names).size < names.length) throw new GraphMistake('$select with a name twice')
    this.#names = names && new Set(names)
  }

  /** Whether there is no selection. */
  get isAll(): boolean {
    return this.#names === undefined
  }

  has(name: string): boolean {
    return this.#names?.has(name) ?? true
  }

  /** Returns the selected properties. */
  apply<T extends object>(resource: T): Partial<T> {
    return Object.fromEntries(Object.entries(resource).filter(([name]) => this.has(name))) as Partial<T>
  }
}

/** Returns the requested thumbnail sizes; undefined if there are none. */
export function thumbnailSizes(expand: string | null): readonly ThumbnailSize[] | undefined {
  if (expand === null) return undefined
  if (expand === 'thumbnails') return SIZES
  const names = /^thumbnails\(\$select=([a-z,]+)\)$/.exec(expand)?.[1]?.split(',')
  const sizes = SIZES.filter((size) => names?.includes(size))
  if (sizes.length !== names?.length) throw new GraphMistake(`$expand=${expand}`)
  return sizes
}
