import type { PageFreshness } from './change-feed.ts'

/** The kind of an entry. Shared drives are entries of the root, of kind `drive`. */
export type EntryKind = 'file' | 'folder' | 'drive' | 'package' | 'link' | 'shortcut'

/** The target of a shortcut. `unknown` if the provider's listing does not contain it. */
export interface ShortcutTarget {
  readonly id: string | null
  readonly kind: EntryKind | null
  readonly mimeType: string | null
  readonly state: 'ok' | 'dangling' | 'denied' | 'unknown'
}

/** The provider's digest of the content, in the provider's notation. */
export interface ContentHash {
  readonly algorithm: string
  readonly value: string
}

/** A format that a provider-native document can be exported to. */
export interface ExportFormat {
  readonly mimeType: string
  readonly extension: string
}

/** The user's permissions on an entry; `null` if the provider does not report them. */
export interface EntryAbilities {
  readonly list: boolean | null
  readonly download: boolean | null
  readonly write: boolean | null
}

/**
 * One item of a folder. `null` means unknown, never "none". `name` is the provider's, verbatim. Times are ISO 8601 in
 * UTC with milliseconds; `size` is in bytes.
 */
export interface Entry {
  /** The provider's opaque id, as taken by `folder=`, `stat()` and `download()`. */
  readonly id: string
  readonly parentId: string | null
  readonly driveId: string | null
  readonly name: string
  readonly kind: EntryKind
  readonly mimeType: string | null
  readonly size: number | null
  readonly createdAt: string | null
  readonly modifiedAt: string | null
  /** Changes with the content. Taken by `ifMatch` if the provider supports preconditions. */
  readonly version: string | null
  readonly hash: ContentHash | null
  readonly exportFormats: readonly ExportFormat[]
  readonly target: ShortcutTarget | null
  readonly webUrl: string | null
  readonly thumbnailUrl: string | null
  readonly path: string | null
  readonly can: EntryAbilities
}

/** The listed folder. Fields are `null` unless the listing response contains them. */
export interface FolderInfo {
  readonly id: string | null
  readonly name: string | null
  readonly parentId: string | null
}

/** The reason why a page does not complete its folder. */
export type IncompleteReason = 'more' | 'provider-partial' | 'page-cap' | 'duplicate-cursor'

/**
 * One page of a provider's listing. `complete` is true only if the provider reported that nothing follows this page;
 * otherwise `reason` gives the cause. A page with `next` is never complete.
 */
export interface EntryPage {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** The provider's opaque cursor of the next page; `null` if there is none. */
  readonly next: string | null
  readonly complete: boolean
  readonly reason: IncompleteReason | null
  /** How the page can be confirmed later. Default `null`: not at all; it is cached for a short time. */
  readonly freshness?: PageFreshness | null
}

/** Longest cursor that the route returns and accepts, in characters. */
export const MAX_CURSOR_LENGTH = 4096

/** The order of a listing's entries: folders first and then by name, or as the provider sent them. */
export type ListingOrder = 'folder-then-name' | 'provider'

/** The response of the listing route. */
export interface Listing {
  readonly provider: string
  readonly connectionId: string
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  readonly page: {
    /** A sealed cursor for the route's `cursor` parameter, or `null`. */
    readonly next: string | null
    readonly complete: boolean
    readonly reason: IncompleteReason | null
    readonly order: ListingOrder
  }
}

const UNSAFE_CHARS = /[^\x20-\x7e]|["\\%]/gu
/** Characters that `encodeURIComponent` does not encode although RFC 8187 requires it. */
const NOT_ATTR_CHAR = /['()*]/g
/** Unicode's bidirectional controls (UAX #9). With them "gpj.exe" is displayed as "exe.jpg". */
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Returns a `Content-Disposition` that makes a browser save the file (RFC 6266). It has a plain name for old clients,
 * with `_` for unsafe characters, and the exact name as in RFC 8187, both without bidirectional controls.
 *
 * @param name well-formed Unicode
 */
export function formatContentDisposition(name: string): string {
  const safe = stripBidiControls(name)
  const fallback = safe.replace(UNSAFE_CHARS, '_')
  if (fallback === safe) return `attachment; filename="${safe}"`
  const encoded = encodeURIComponent(safe).replace(NOT_ATTR_CHAR, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return `attachment; filename="${fallback}"; filename*=UTF-8''${encoded}`
}

/** Removes the characters that change the display order of the other characters. */
export function stripBidiControls(name: string): string {
  return name.replace(BIDI_CONTROLS, '')
}

/**
 * Returns the file name of an exported document: `Budget` as XLSX is `Budget.xlsx`. A name that already ends in the
 * extension (case-insensitively) stays unchanged. Any other extension (`notes.v2`) remains part of the name.
 */
export function exportedName(name: string, { extension }: ExportFormat): string {
  const safe = stripBidiControls(name)
  const suffix = `.${extension}`
  return safe.toLowerCase().endsWith(suffix.toLowerCase()) ? safe : safe + suffix
}
