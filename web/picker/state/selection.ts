import { plainFileName } from '../../../src/client/file-name.ts'
import type { Entry, EntryKind } from '../../../src/core/entry.ts'
import { isHttpUrl } from '../popup.ts'

/** The selected entries, in the order of selection. */
export class Selection {
  isMultiple = false
  readonly #selected = new Map<string, Entry>()
  readonly #onChange: () => void
  /** The start of a range selection. */
  #anchorId: string | null = null

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get entries(): readonly Entry[] {
    return [...this.#selected.values()]
  }

  get size(): number {
    return this.#selected.size
  }

  has(id: string): boolean {
    return this.#selected.has(id)
  }

  /** Selects only this entry. */
  replace(entry: Entry): void {
    this.#anchorId = entry.id
    this.#set([entry])
  }

  toggle(entry: Entry): void {
    this.#anchorId = entry.id
    if (this.has(entry.id)) this.#set(this.entries.filter(({ id }) => id !== entry.id))
    else this.#set(this.isMultiple ? [...this.entries, entry] : [entry])
  }

  /** Selects the range from the last selected entry to `id`, both inclusive. */
  extendTo(id: string, selectable: readonly Entry[]): void {
    const to = selectable.findIndex((entry) => entry.id === id)
    const entry = selectable[to]
    if (entry === undefined) return
    const anchor = selectable.findIndex((each) => each.id === this.#anchorId)
    const from = anchor === -1 ? to : anchor
    if (!this.isMultiple) this.replace(entry)
    else this.#set(selectable.slice(Math.min(from, to), Math.max(from, to) + 1))
    this.#anchorId = selectable[from]?.id ?? id
  }

  /** Selects all entries, or none if all are already selected. */
  toggleAll(entries: readonly Entry[]): void {
    if (!this.isMultiple) return
    this.#set(entries.every(({ id }) => this.has(id)) ? [] : entries)
  }

  /** Removes entries that `isKept` rejects, after the filter or the folder has changed. */
  retain(isRetained: (entry: Entry) => boolean): void {
    this.#set(this.entries.filter(isRetained))
  }

  /** Replaces the entries by their current versions, and removes those that no longer exist. */
  replaceAll(current: readonly Entry[]): void {
    if (this.size === 0) return
    const byId = new Map(current.map((entry) => [entry.id, entry]))
    this.#set(this.entries.flatMap(({ id }) => byId.get(id) ?? []))
  }

  #set(entries: readonly Entry[]): void {
    const isSame = entries.length === this.size && entries.every(({ id }) => this.has(id))
    this.#selected.clear()
    for (const entry of entries) this.#selected.set(entry.id, entry)
    if (!isSame) this.#onChange()
  }
}

/** Which entries can be selected. */
export interface EntryFilter {
  readonly kind: 'file' | 'folder' | null
  /** Media types (`image/png`, `image/*`) and file extensions (`.pdf`), as in `<input type=file accept>`. */
  readonly accept: readonly string[]
}

const CONTAINERS: ReadonlySet<EntryKind> = new Set(['folder', 'drive'])

/** Returns the kind of the entry, or of the target of a shortcut. */
export function effectiveKind({ kind, target }: Entry): EntryKind {
  return kind === 'shortcut' ? (target?.kind ?? kind) : kind
}

/** Returns whether the entry is sorted among the folders. */
export function isContainer(entry: Entry): boolean {
  return CONTAINERS.has(effectiveKind(entry))
}

/** Returns the ID of the folder that the entry opens, or `null` if it opens none. */
export function targetFolderId(entry: Entry): string | null {
  return isContainer(entry) ? targetId(entry, entry.can.list) : null
}

/** Returns the ID of the content to download, or `null` if the entry has none. */
export function targetFileId(entry: Entry): string | null {
  return effectiveKind(entry) === 'file' ? targetId(entry, entry.can.download) : null
}

/** A shortcut's `can` is its own with some providers and its target's with others, so `state` decides. */
function targetId({ id, kind, target }: Entry, isAllowed: boolean | null): string | null {
  if (kind !== 'shortcut') return isAllowed === false ? null : id
  return target?.state === 'dangling' || target?.state === 'denied' ? null : (target?.id ?? null)
}

export function isSelectable(entry: Entry, { kind, accept }: EntryFilter): boolean {
  const container = isContainer(entry)
  if (kind === 'folder') return container
  if (kind === 'file' && (container || entry.kind === 'link')) return false
  // `accept` applies to files: without `kind`, folders stay selectable.
  return container || accept.length === 0 || accept.some((pattern) => matchesPattern(entry, pattern))
}

/** @param list comma-separated, as in the `accept` attribute */
export function parseAccept(list: string): string[] {
  return list
    .split(',')
    .map((pattern) => pattern.trim().toLowerCase())
    .filter((pattern) => pattern !== '')
}

function matchesPattern(entry: Entry, pattern: string): boolean {
  if (pattern.startsWith('.')) return entry.name.toLowerCase().endsWith(pattern)
  const type = mediaTypeOf(entry)
  if (type === null) return false
  return pattern.endsWith('/*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern || pattern === '*'
}

/** Returns the provider's media type, else one guessed from the name. Lower case, without parameters. */
export function mediaTypeOf(entry: Entry): string | null {
  const mediaType = entry.mimeType ?? entry.target?.mimeType ?? guessMediaType(entry.name)
  return mediaType?.split(';', 1)[0]?.trim().toLowerCase() ?? null
}

/** Returns the name to save a file under if the response has none. Exports get the extension of their format. */
export function downloadFileName({ name, exportFormats: [format] }: Entry): string {
  const plain = plainFileName(name)
  const extension = format === undefined ? '' : `.${format.extension}`
  return plain.toLowerCase().endsWith(extension) ? plain : plain + extension
}

/** Characters that are invisible or reorder the text around them. Marks that reorder nothing are allowed. */
const UNSAFE_CHARACTERS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** Returns a name that is safe to display: "gpj.exe" must not appear as "exe.jpg". */
export function displayName(name: string): string {
  return name.replace(UNSAFE_CHARACTERS, '\ufffd')
}

/** Returns a name for use within a sentence, isolated so that its direction does not reorder other words (UAX #9). */
export function isolated(name: string): string {
  return `\u2068${displayName(name)}\u2069`
}

/** Removes links with other schemes than HTTP(S): a `javascript:` link from a provider would run in this page. */
export function withSafeLinks(entry: Entry): Entry {
  const [webUrl, thumbnailUrl] = [entry.webUrl, entry.thumbnailUrl].map((url) => (isHttpUrl(url) ? url : null))
  return { ...entry, webUrl: webUrl ?? null, thumbnailUrl: thumbnailUrl ?? null }
}

/** Returns the text as it is compared in searches: without case, accents and width variants. */
export function normalizeForSearch(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}

/** Media types by file extension, for providers that send none (S3 listings, some WebDAV servers). */
const TYPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    application: 'pdf json zip xml rtf gzip:gz x-tar:tar x-7z-compressed:7z vnd.rar:rar msword:doc',
    'application/vnd.openxmlformats-officedocument':
      'wordprocessingml.document:docx spreadsheetml.sheet:xlsx presentationml.presentation:pptx',
    'application/vnd': 'ms-excel:xls ms-powerpoint:ppt',
    'application/vnd.oasis.opendocument': 'text:odt spreadsheet:ods presentation:odp',
    audio: 'mpeg:mp3 wav ogg flac mp4:m4a',
    image: 'png jpeg:jpg jpeg gif webp svg+xml:svg bmp tiff:tif tiff avif heic',
    text: 'plain:txt markdown:md csv html html:htm css',
    video: 'mp4 quicktime:mov webm x-matroska:mkv mpeg:mpg'
  }).flatMap(([family, types]) =>
    types.split(' ').map((each) => {
      const [type = '', extension = type] = each.split(':')
      return [extension, `${family}${family.includes('/') ? '.' : '/'}${type}`]
    })
  )
)

export function guessMediaType(name: string): string | null {
  return TYPES.get(name.slice(name.lastIndexOf('.') + 1).toLowerCase()) ?? null
}
