import type { Entry, EntryKind } from '../domain/entry.ts'
import { plainFileName } from '../client/file-name.ts'
import { mediaTypeOf } from './media-types.ts'
import { isWebAddress } from './popup.ts'

/** Which entries can be selected. */
export interface EntryFilter {
  readonly kind: 'file' | 'folder' | null
  /** Media types (`image/png`, `image/*`) and file extensions (`.pdf`), as in `<input type=file accept>`. */
  readonly accept: readonly string[]
}

const CONTAINERS: ReadonlySet<EntryKind> = new Set(['folder', 'drive'])

/** Returns the kind of the entry, or of the target of a shortcut. */
export function meantKind({ kind, target }: Entry): EntryKind {
  return kind === 'shortcut' ? (target?.kind ?? kind) : kind
}

/** Returns whether the entry is sorted among the folders. */
export function isContainer(entry: Entry): boolean {
  return CONTAINERS.has(meantKind(entry))
}

/** Returns the ID of the folder that the entry opens, or `null` if it opens none. */
export function folderBehind(entry: Entry): string | null {
  return isContainer(entry) ? idBehind(entry, entry.can.list) : null
}

/** Returns the ID of the content to download, or `null` if the entry has none. */
export function fileBehind(entry: Entry): string | null {
  return meantKind(entry) === 'file' ? idBehind(entry, entry.can.download) : null
}

/** A shortcut's `can` is its own with some providers and its target's with others, so `state` decides. */
function idBehind({ id, kind, target }: Entry, may: boolean | null): string | null {
  if (kind !== 'shortcut') return may === false ? null : id
  return target?.state === 'dangling' || target?.state === 'denied' ? null : (target?.id ?? null)
}

export function isSelectable(entry: Entry, { kind, accept }: EntryFilter): boolean {
  const container = isContainer(entry)
  if (kind === 'folder') return container
  if (kind === 'file' && (container || entry.kind === 'link')) return false
  // `accept` applies to files: without `kind`, folders stay selectable.
  return container || accept.length === 0 || accept.some((pattern) => fits(entry, pattern))
}

/** @param list comma-separated, as in the `accept` attribute */
export function parseAccept(list: string): string[] {
  return list
    .split(',')
    .map((pattern) => pattern.trim().toLowerCase())
    .filter((pattern) => pattern !== '')
}

function fits(entry: Entry, pattern: string): boolean {
  if (pattern.startsWith('.')) return entry.name.toLowerCase().endsWith(pattern)
  const type = typeOf(entry)
  if (type === null) return false
  return pattern.endsWith('/*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern || pattern === '*'
}

/** Returns the provider's media type, else one guessed from the name. Lower case, without parameters. */
export function typeOf(entry: Entry): string | null {
  const told = entry.mimeType ?? entry.target?.mimeType ?? mediaTypeOf(entry.name)
  return told?.split(';', 1)[0]?.trim().toLowerCase() ?? null
}

/** Returns the name to save a file under if the response has none. Exports get the extension of their format. */
export function savedName({ name, exportFormats: [format] }: Entry): string {
  const plain = plainFileName(name)
  const ending = format === undefined ? '' : `.${format.extension}`
  return plain.toLowerCase().endsWith(ending) ? plain : plain + ending
}

/** Characters that are invisible or reorder the text around them. Marks that reorder nothing are allowed. */
const TREACHEROUS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** Returns a name that is safe to display: "gpj.exe" must not appear as "exe.jpg". */
export function shownName(name: string): string {
  return name.replace(TREACHEROUS, '\ufffd')
}

/** Returns a name for use within a sentence, isolated so that its direction does not reorder other words (UAX #9). */
export function isolated(name: string): string {
  return `\u2068${shownName(name)}\u2069`
}

/** Removes links with other schemes than HTTP(S): a `javascript:` link from a provider would run in this page. */
export function withWebLinks(entry: Entry): Entry {
  const [webUrl, thumbnailUrl] = [entry.webUrl, entry.thumbnailUrl].map((url) => (isWebAddress(url) ? url : null))
  return { ...entry, webUrl: webUrl ?? null, thumbnailUrl: thumbnailUrl ?? null }
}

/** Returns the text as it is compared in searches: without case, accents and width variants. */
export function folded(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}
