import type { Entry, EntryKind } from '../domain/entry.ts'
import { plainFileName } from '../client/file-name.ts'
import { mediaTypeOf } from './media-types.ts'
import { isWebAddress } from './popup.ts'

/** What may be selected. */
export interface EntryFilter {
  readonly kind: 'file' | 'folder' | null
  /** Media types (`image/png`, `image/*`) and endings of names (`.pdf`), as those of an `<input type=file>`. */
  readonly accept: readonly string[]
}

const CONTAINERS: ReadonlySet<EntryKind> = new Set(['folder', 'drive'])

/** What the entry is, or what it leads to. */
export function meantKind({ kind, target }: Entry): EntryKind {
  return kind === 'shortcut' ? (target?.kind ?? kind) : kind
}

/** Stands among the folders. */
export function isContainer(entry: Entry): boolean {
  return CONTAINERS.has(meantKind(entry))
}

/** The folder that opening the entry leads to, or `null` where it leads nowhere. */
export function folderBehind(entry: Entry): string | null {
  return isContainer(entry) ? idBehind(entry, entry.can.list) : null
}

/** What downloading the entry asks for, or `null` where there are no bytes. */
export function fileBehind(entry: Entry): string | null {
  return meantKind(entry) === 'file' ? idBehind(entry, entry.can.download) : null
}

/** What may be done with a shortcut is said of itself by some providers, of its target by others: its state decides. */
function idBehind({ id, kind, target }: Entry, may: boolean | null): string | null {
  if (kind !== 'shortcut') return may === false ? null : id
  return target?.state === 'dangling' || target?.state === 'denied' ? null : (target?.id ?? null)
}

export function isSelectable(entry: Entry, { kind, accept }: EntryFilter): boolean {
  const container = isContainer(entry)
  if (kind === 'folder') return container
  if (kind === 'file' && (container || entry.kind === 'link')) return false
  // Types are those of files: without `kind`, folders stay selectable beside them.
  return container || accept.length === 0 || accept.some((pattern) => fits(entry, pattern))
}

/** @param list as the `accept` attribute has it, with commas between */
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

/** As the provider says it, or, where it does not, as the name lets one guess. Lower case, without parameters. */
export function typeOf(entry: Entry): string | null {
  const told = entry.mimeType ?? entry.target?.mimeType ?? mediaTypeOf(entry.name)
  return told?.split(';', 1)[0]?.trim().toLowerCase() ?? null
}

/** The name to save a file under, where the response tells none: of an export with the extension of its format. */
export function savedName({ name, exportFormats: [format] }: Entry): string {
  const plain = plainFileName(name)
  const ending = format === undefined ? '' : `.${format.extension}`
  return plain.toLowerCase().endsWith(ending) ? plain : plain + ending
}

/** What reorders the text around it, or cannot be seen at all. Marks of direction that reorder nothing may stay. */
const TREACHEROUS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** A name as people are shown it: "gpj.exe" must not look like "exe.jpg". */
export function shownName(name: string): string {
  return name.replace(TREACHEROUS, '\ufffd')
}

/** A name in the middle of a text: its direction does not change the order of the words around it (UAX #9). */
export function isolated(name: string): string {
  return `\u2068${shownName(name)}\u2069`
}

/** An entry whose links can be opened: providers may send anything, and a `javascript:` link would run in this page. */
export function withWebLinks(entry: Entry): Entry {
  const [webUrl, thumbnailUrl] = [entry.webUrl, entry.thumbnailUrl].map((url) => (isWebAddress(url) ? url : null))
  return { ...entry, webUrl: webUrl ?? null, thumbnailUrl: thumbnailUrl ?? null }
}

/** What names are compared by in a search: without case, accents and forms of width. */
export function folded(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}
