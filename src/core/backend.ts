import type { Readable } from 'node:stream'
import type { FeedPage, PageFreshness } from './change-feed.ts'
import type { Entry, EntryPage, ExportFormat } from './entry.ts'

/**
 * The support of an operation: natively by the service; emulated by other means (slower, or with a race); or not at
 * all.
 */
export type Ability = 'native' | 'emulated' | 'unsupported'

/** The capabilities of a backend, tested by the contract suite. A method exists exactly if its ability is supported. */
export interface Capabilities {
  /** `listFolder` returns a folder in pages of at most `limit` entries. */
  readonly paging: Ability
  /** `listFolder` can list only folders or only files. */
  readonly kindFilter: Ability
  readonly rangeDownload: Ability
  readonly upload: Ability
  /** `upload` with `ifNoneMatch: '*'`: never overwrites. */
  readonly createOnly: Ability
  /** `upload` with `ifMatch`: overwrites only the given version. */
  readonly updateIfMatch: Ability
  /**
   * An upload over a file replaces the whole content in one step: readers see the old content or the new one, and an
   * interrupted upload leaves the old one. `unsupported`: an interrupted upload may damage the file that it replaces.
   */
  readonly atomicReplace: Ability
  readonly remove: Ability
  readonly createFolder: Ability
  readonly downloadUrl: Ability
  /**
   * Cached pages can be confirmed by what the provider reports about changes: natively by a feed of changes, emulated
   * by validators of folders. Default: `unsupported`.
   */
  readonly changes?: Ability
}

/** Options of every call. Aborting the signal ends the call, and a download's body, with the signal's reason. */
export interface Call {
  readonly signal: AbortSignal
}

/** What distinguishes the pages of one folder, besides their cursors. */
export interface PageParameters {
  /** Maximal number of entries, 1 to 1000. A page may be shorter or empty, and still have a next one. */
  readonly limit: number
  readonly kind?: 'folder' | 'file'
}

export interface ListCall extends Call, PageParameters {
  /** The `next` of the previous page. */
  readonly cursor?: string
}

/** Bytes `start` to `end`, both inclusive, counted from 0 (default end: the last byte); or the last `suffix` bytes. */
export type ByteRange = { readonly start: number; readonly end?: number } | { readonly suffix: number }

export interface DownloadCall extends Call {
  readonly range?: ByteRange
  /**
   * The `mimeType` of one of the entry's `exportFormats` (default: the first), for a document that the provider
   * converts to a file. An export has no size and no ranges. Other values are rejected with `INVALID_REQUEST`.
   */
  readonly exportAs?: string
}

export interface Download {
  /** Fails with an error, and never ends normally, if bytes are missing. Destroy it to free the connection. */
  readonly body: Readable
  /** The size of the whole object in bytes, or `null` if the provider does not report it. */
  readonly size: number | null
  /** The range of bytes in `body`, both ends inclusive; `null` for the whole object. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** The type of `body`. For an exported document it is the type of the export. */
  readonly mimeType: string | null
  /**
   * The file name for saving the content: the entry's `name`, or for an exported document the name with the extension
   * of its format (`Budget.xlsx`). Absent if the download response does not contain the name; the caller then uses
   * the entry's name.
   */
  readonly name?: string
  /** The format of an exported document. Absent: the content is the file itself. */
  readonly exportedAs?: ExportFormat
  /** An opaque validator, without quotes. */
  readonly etag: string | null
  /** ISO 8601, UTC. */
  readonly modifiedAt: string | null
}

/** A name in a folder, or an existing object. */
export type UploadTarget =
  | { readonly parentId: string | null; readonly name: string; readonly mimeType?: string }
  | { readonly id: string; readonly mimeType?: string }

export interface UploadCall extends Call {
  /** The body's size in bytes, if known. */
  readonly size?: number
  /** `*`: fails with `ALREADY_EXISTS` instead of overwriting. */
  readonly ifNoneMatch?: '*'
  /** An entry's `version`: fails with `PRECONDITION_FAILED` unless the object still has that version. */
  readonly ifMatch?: string
  /**
   * For an upload by name without a condition: called after the upload with true if no object had the name before.
   * Backends may check that in advance, and do not call it if they cannot tell.
   */
  readonly onStored?: (isNew: boolean) => void
}

export interface DownloadUrlCall extends Call {
  /** The link's lifetime: at most 300,000 ms, since a link remains valid after a revocation. */
  readonly expiresInMs: number
  /**
   * Accepts a link with a longer lifetime from a provider that sets the lifetime itself (`capabilities.downloadUrl`
   * is `emulated`). `expiresAt` reports it. Otherwise such a provider rejects with `INVALID_REQUEST`.
   */
  readonly acceptLonger?: boolean
}

export interface DownloadUrl {
  /** Forces a download (`Content-Disposition: attachment`). It is a bearer secret: never log it. */
  readonly url: string
  readonly expiresAt: Date
}

/** The account of a connection, and its quota in bytes. */
export interface Account {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly quota: { readonly used: number; readonly total: number | null } | null
}

/** Longest lifetime of a download link, in milliseconds. */
export const MAX_DOWNLOAD_URL_MS = 300_000

/**
 * An opened storage. Ids are the backend's own and opaque to callers. Every method rejects with a `StorageError`. An
 * unsupported operation is an absent method and an `unsupported` capability.
 */
export interface StorageBackend {
  readonly provider: string
  readonly capabilities: Capabilities
  /** @throws StorageError `FOLDER_NOT_FOUND` for a missing folder, never an empty page */
  listFolder(folderId: string | null, call: ListCall): Promise<EntryPage>
  /** @throws StorageError `OBJECT_NOT_FOUND` */
  stat(id: string, call: Call): Promise<Entry>
  /** @throws StorageError `OBJECT_NOT_FOUND`, `RANGE_NOT_SATISFIABLE` */
  download(id: string, call: DownloadCall): Promise<Download>
  /** @throws StorageError `ALREADY_EXISTS`, `PRECONDITION_FAILED`, `FOLDER_NOT_FOUND` */
  upload?(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry>
  /** Removes a file. A file that is already gone is not an error. */
  remove?(id: string, call: Call): Promise<void>
  /** @throws StorageError `ALREADY_EXISTS` */
  createFolder?(parentId: string | null, name: string, call: Call): Promise<Entry>
  downloadUrl?(id: string, call: DownloadUrlCall): Promise<DownloadUrl>
  account(call: Call): Promise<Account>
  /**
   * Returns the current position of a scope's feed. A page that is loaded afterwards is older than no change that
   * `changes` reports from there on.
   */
  position?(scope: string, call: Call): Promise<string>
  /** Returns what has changed in a scope since a position. Changes may be repeated, and in any order. */
  changes?(scope: string, position: string, call: Call): Promise<FeedPage>
  /** Returns true if a folder has not changed since the page with this mark was loaded. */
  isCurrent?(folderId: string | null, mark: string, call: Call): Promise<boolean>
  /**
   * Waits until the provider announces that something may have changed where a page with this freshness lies, and
   * returns true; false if it has announced nothing for some minutes. An announcement brings the next check forward,
   * and proves nothing. A failure is no failure of the connection.
   */
  waitForChange?(freshness: PageFreshness, call: Call): Promise<boolean>
}
