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
