import type { Moment } from '../core/time.ts'

/** The key of a folder in the shared cache. */
export interface SharedFolderKey {
  readonly userId: string
  readonly provider: string
  readonly folderId: string | null
  readonly connectionId: string
}

/** The scope of an invalidation. */
export type InvalidatedScope =
  | { readonly of: 'all' }
  | { readonly of: 'provider'; readonly userId: string; readonly provider: string }
  | { readonly of: 'connection'; readonly connectionId: string }
  | {
      readonly of: 'folder'
      readonly userId: string
      readonly provider: string
      readonly folderId: string | null
      /** Default: of all connections of the user. */
      readonly connectionId?: string | undefined
    }

export interface SharedPage {
  readonly bytes: Buffer
  /** Milliseconds since the start of its load, in any process. */
  readonly ageMs: number
}

/** How a page is used that may have been loaded long ago. */
export interface SharedPageRules {
  /** Returns true if what its provider reports confirms the page, so that it lives longer. */
  isCovered(bytes: Buffer): boolean
  /** Returns false if a page must not be used: it is loaded again, and replaced. */
  accepts(page: SharedPage): Promise<boolean>
}

/** A record that instances share. */
export interface SharedRecord {
  readonly bytes: Buffer
  /** Milliseconds since the moment it was stored for; `Infinity` if that cannot be known. */
  readonly ageMs: number
}

/** Small records that several instances read and write. It never fails: it may be unavailable, and lose any record. */
export interface SharedRecords {
  /** Returns `null` if there is none. */
  read(key: string): Promise<SharedRecord | null | 'unavailable'>
  /**
   * Stores a record.
   *
   * @param moment from which its age counts
   * @param isFirst store it only if there is none
   * @returns false if it was not stored
   */
  write(key: string, bytes: Buffer, moment: Moment, isFirst: boolean): Promise<boolean>
  /** Returns `null` if another instance holds the lock. */
  lock(key: string): Promise<SharedLock | null | 'unavailable'>
}

export interface SharedLock {
  /** Never rejects. */
  release(): Promise<void>
}

/**
 * A cache that several processes share. It never fails: if it is unavailable it counts as empty, and each process
 * uses its local cache only.
 */
export interface SharedTier {
  /** What instances know of the feeds of their connections. */
  readonly records?: SharedRecords
  /**
   * Returns the folder's generation, which changes with every invalidation by any process. It is part of the pages'
   * keys. It is trusted for a lease; the result is synchronous during the lease.
   */
  getGeneration(folder: SharedFolderKey): string | Promise<string>
  /**
   * Returns the cached page, or the page that another process is loading, or else stores the result of `load`.
   *
   * @param userId owner of the cache share that the page counts against
   * @param key identifies the page and everything that it depends on
   * @param load an empty result is not stored
   * @param rules default: all pages are used until they expire
   * @throws the error of `load`, and the signal's reason
   */
  getOrLoad(
    userId: string,
    key: string,
    load: () => Promise<Buffer>,
    signal: AbortSignal,
    rules?: SharedPageRules
  ): Promise<SharedPage>
  /**
   * Invalidates pages in this process at once, and in other processes within their lease. Other folders of the same
   * user may be invalidated too.
   */
  invalidate(scope: InvalidatedScope): void
  /** Resolves when the current writes have completed. */
  flush(): Promise<void>
  /** Resolves when all writes have completed, and stops using Redis. The client belongs to the host application. */
  close(): Promise<void>
}
