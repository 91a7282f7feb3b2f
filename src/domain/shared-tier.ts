/** A folder, as several processes name it to each other. */
export interface SharedFolder {
  readonly userId: string
  readonly provider: string
  readonly folderId: string | null
  readonly connectionId: string
}

/** What an invalidation is about. */
export type InvalidatedScope =
  | { readonly of: 'all' }
  | { readonly of: 'provider'; readonly userId: string; readonly provider: string }
  | { readonly of: 'connection'; readonly connectionId: string }
  | { readonly of: 'folder'; readonly userId: string; readonly provider: string; readonly folderId: string | null }

export interface SharedPage {
  readonly bytes: Buffer
  /** Since the start of its load, in milliseconds, wherever that was. */
  readonly ageMs: number
}

/**
 * Where several processes keep pages together. It never fails: what cannot be asked counts as empty, and each process
 * is then on its own.
 */
export interface SharedTier {
  /**
   * What tells the pages of a folder from those before its last invalidation, by any process: part of the pages' keys.
   * Believed for a lease; at once where it is.
   */
  generation(folder: SharedFolder): string | Promise<string>
  /**
   * A page that is there, or comes while another process loads it; else what `load` brings, for all.
   *
   * @param userId whose share of the tier the page takes
   * @param key names the page, with everything that it depends on
   * @throws what `load` throws, and the signal's reason
   */
  page(userId: string, key: string, load: () => Promise<Buffer>, signal: AbortSignal): Promise<SharedPage>
  /**
   * Invalidates pages here at once, and in other processes within their lease. Other folders of the same user may be
   * invalidated too.
   */
  invalidate(scope: InvalidatedScope): void
  /** Resolves when what is being written now has been written. */
  flush(): Promise<void>
  /** Resolves when everything has been written. Redis is not asked any more; its client belongs to the host. */
  close(): Promise<void>
}
