/** What can stand in a listing. Shared drives are entries of the root, of kind `drive`. */
export type EntryKind = 'file' | 'folder' | 'drive' | 'package' | 'link' | 'shortcut'

/** Where a shortcut leads. `unknown` where the provider's listing does not tell. */
export interface ShortcutTarget {
  readonly id: string | null
  readonly kind: EntryKind | null
  readonly mimeType: string | null
  readonly state: 'ok' | 'dangling' | 'denied' | 'unknown'
}

/** A provider's own digest of the content, in the provider's own notation. */
export interface ContentHash {
  readonly algorithm: string
  readonly value: string
}

/** A format that a provider-native document can be exported to. */
export interface ExportFormat {
  readonly mimeType: string
  readonly extension: string
}

/** What the user may do with an entry; `null` where the provider does not tell. */
export interface EntryAbilities {
  readonly list: boolean | null
  readonly download: boolean | null
  readonly write: boolean | null
}

/**
 * One item of a folder. `null` means unknown, never "none"; `name` is the provider's, verbatim.
 * Times are ISO 8601 in UTC with milliseconds; `size` is in bytes.
 */
export interface Entry {
  /** The provider's own id, opaque: what `folder=`, `stat()` and `download()` take. */
  readonly id: string
  readonly parentId: string | null
  readonly driveId: string | null
  readonly name: string
  readonly kind: EntryKind
  readonly mimeType: string | null
  readonly size: number | null
  readonly createdAt: string | null
  readonly modifiedAt: string | null
  /** Changes with the content; what `ifMatch` takes, where the provider knows preconditions. */
  readonly version: string | null
  readonly hash: ContentHash | null
  readonly exportFormats: readonly ExportFormat[]
  readonly target: ShortcutTarget | null
  readonly webUrl: string | null
  readonly thumbnailUrl: string | null
  readonly path: string | null
  readonly can: EntryAbilities
}

/** The listed folder itself; fields are `null` unless the listing call itself tells them. */
export interface FolderInfo {
  readonly id: string | null
  readonly name: string | null
  readonly parentId: string | null
}

/** Why a page does not end its folder. */
export type IncompleteReason = 'more' | 'provider-partial' | 'page-cap' | 'duplicate-cursor'

/**
 * One upstream answer of a listing. `complete` is true only when the provider said that nothing is missing
 * behind this page; otherwise `reason` says why. A page with `next` is never complete.
 */
export interface EntryPage {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** The provider's cursor of the next page, opaque; `null` where there is none. */
  readonly next: string | null
  readonly complete: boolean
  readonly reason: IncompleteReason | null
}

/** The longest cursor that the route hands out and takes, in characters. */
export const MAX_CURSOR_LENGTH = 4096

/** How the entries of a listing are sorted: folders first and then by name, or as the provider sent them. */
export type ListingOrder = 'folder-then-name' | 'provider'

/** What the listing route answers. */
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
