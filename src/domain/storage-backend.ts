import type { Readable } from 'node:stream'
import type { Entry, EntryPage, ExportFormat } from './entry.ts'

/**
 * How a backend does something: itself, as well as its service does it; by means of something else (slower, or with a
 * race); or not at all.
 */
export type Ability = 'native' | 'emulated' | 'unsupported'

/** What a backend can do. The contract suite checks each claim; a method exists exactly where its ability is supported. */
export interface Capabilities {
  /** `listFolder` gives a folder in pages of at most `limit` entries. */
  readonly paging: Ability
  /** `listFolder` can be asked for folders or files alone. */
  readonly kindFilter: Ability
  readonly rangeDownload: Ability
  readonly upload: Ability
  /** `upload` with `ifNoneMatch: '*'`: never overwrites. */
  readonly createOnly: Ability
  /** `upload` with `ifMatch`: overwrites only the version that the caller saw. */
  readonly updateIfMatch: Ability
  /**
   * An upload over a file replaces the whole content in one step: readers see the old content or the new one, and an
   * interrupted upload leaves the old one. `unsupported`: an interrupted upload may damage the file that it replaces.
   */
  readonly atomicReplace: Ability
  readonly remove: Ability
  readonly createFolder: Ability
  readonly downloadUrl: Ability
}

/** What every call takes. Aborting the signal ends the call, and a download's body, with the signal's reason. */
export interface Call {
  readonly signal: AbortSignal
}

export interface ListCall extends Call {
  /** The `next` of the page before. */
  readonly cursor?: string
  /** At most so many entries, 1 to 1000. A page may be shorter, or empty, and still have a next one. */
  readonly limit: number
  readonly kind?: 'folder' | 'file'
}

/** Bytes `start` to `end`, both inclusive, counted from 0 (without `end`: to the last); or the last `suffix` bytes. */
export type ByteRange = { readonly start: number; readonly end?: number } | { readonly suffix: number }

export interface DownloadCall extends Call {
  readonly range?: ByteRange
  /**
   * The `mimeType` of one of the entry's `exportFormats`, for a document that the provider makes into a file. Left out:
   * the first of them. What is made has no size and no ranges; any other value is `INVALID_REQUEST`.
   */
  readonly exportAs?: string
}

export interface Download {
  /** Breaks with an error, and never ends cleanly, when bytes are missing. Destroy it to free the connection. */
  readonly body: Readable
  /** The size of the whole object in bytes, or `null` where the provider does not tell. */
  readonly size: number | null
  /** The bytes that `body` holds, both ends inclusive; `null` for the whole object. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** Of the bytes of `body`: of an exported document, the type of the export. */
  readonly mimeType: string | null
  /**
   * The file name to save the content under: of an exported document with the extension of its format (`Budget.xlsx`),
   * else the entry's `name`. Left out where the backend does not learn the name from the download itself; then it is the
   * entry's.
   */
  readonly name?: string
  /** The format of an exported document. Left out: the content is the file itself. */
  readonly exportedAs?: ExportFormat
  /** An opaque validator, without quotes. */
  readonly etag: string | null
  /** ISO 8601, UTC. */
  readonly modifiedAt: string | null
}

/** A name in a folder, or an object that is there already. */
export type UploadTarget =
  | { readonly parentId: string | null; readonly name: string; readonly mimeType?: string }
  | { readonly id: string; readonly mimeType?: string }

export interface UploadCall extends Call {
  /** The body's size in bytes, where it is known. */
  readonly size?: number
  /** `*`: fail with `ALREADY_EXISTS` instead of overwriting. */
  readonly ifNoneMatch?: '*'
  /** An entry's `version`: fail with `PRECONDITION_FAILED` unless the object still is that version. */
  readonly ifMatch?: string
  /**
   * Of a name without a condition: told, once it is stored, whether nothing had the name before. Backends may look for
   * that, and say nothing where they cannot tell.
   */
  readonly onStored?: (isNew: boolean) => void
}

export interface DownloadUrlCall extends Call {
  /** How long the link works: at most 300,000 ms, since it outlives a revocation. */
  readonly expiresInMs: number
  /**
   * Takes a link that lives longer than that, where the provider decides (`capabilities.downloadUrl` is `emulated`):
   * `expiresAt` tells. Without it such a provider refuses with `INVALID_REQUEST`.
   */
  readonly acceptLonger?: boolean
}

export interface DownloadUrl {
  /** Forces a download (`Content-Disposition: attachment`). It is a bearer secret: never log it. */
  readonly url: string
  readonly expiresAt: Date
}

/** Who a connection is, and how full it is, in bytes. */
export interface Account {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly quota: { readonly used: number; readonly total: number | null } | null
}

/** At most so long a download link may live, in milliseconds. */
export const MAX_DOWNLOAD_URL_MS = 300_000

/**
 * Opened storage, ready to use. Ids are the backend's own and opaque to callers. Every method rejects with a
 * `StorageError`; an ability that a backend lacks is an absent method and an `unsupported` capability.
 */
export interface StorageBackend {
  readonly provider: string
  readonly capabilities: Capabilities
  /** @throws StorageError `FOLDER_NOT_FOUND` for a folder that is gone: never an empty page */
  listFolder(folderId: string | null, call: ListCall): Promise<EntryPage>
  /** @throws StorageError `OBJECT_NOT_FOUND` */
  stat(id: string, call: Call): Promise<Entry>
  /** @throws StorageError `OBJECT_NOT_FOUND`, `RANGE_NOT_SATISFIABLE` */
  download(id: string, call: DownloadCall): Promise<Download>
  /** @throws StorageError `ALREADY_EXISTS`, `PRECONDITION_FAILED`, `FOLDER_NOT_FOUND` */
  upload?(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry>
  /** Removes a file. One that is gone already is no error. */
  remove?(id: string, call: Call): Promise<void>
  /** @throws StorageError `ALREADY_EXISTS` */
  createFolder?(parentId: string | null, name: string, call: Call): Promise<Entry>
  downloadUrl?(id: string, call: DownloadUrlCall): Promise<DownloadUrl>
  account(call: Call): Promise<Account>
}
