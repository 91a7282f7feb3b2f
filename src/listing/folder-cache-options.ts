import type { Clock } from '../domain/ports.ts'
import type { InvalidatedScope } from '../domain/shared-tier.ts'

export interface FolderCacheOptions {
  /** At most so many entries; the least recently used leaves first. */
  readonly max: number
  /** How long an entry lives, in milliseconds from the start of its fetch, by both clocks. */
  readonly ttlMs: number
  /** At most so many bytes, as `sizeOf` counts them. A larger value is handed out and not kept. */
  readonly maxBytes: number
  /**
   * The share of `max` and of `maxBytes` that the entries of one user may take, above 0 and up to 1. Beyond it the
   * user's own least recently used entries are evicted, never those of others. One entry is always allowed; a value
   * larger than the share of `maxBytes` is returned and not stored. Default 1: no limit per user.
   */
  readonly maxSharePerUser?: number
  /** At most so many fetches of one user at a time; past it callers get `TOO_MANY_REQUESTS`. */
  readonly maxInFlightPerUser: number
  /** The size of a value in bytes. Default: the length of its JSON text in UTF-8. */
  readonly sizeOf?: (value: unknown) => number
  readonly clock: Clock
  /** Told of what was invalidated here, so that others who keep the same can drop it too. */
  readonly onInvalidated?: (scope: InvalidatedScope) => void
}

/** Filled in by `getOrFetch`: why a caller got what it got. */
export interface FolderCacheStatus {
  /** `hit`: kept; `miss`: this caller's fetch; `join`: another caller's. */
  outcome?: 'hit' | 'miss' | 'join'
  /** Since the start of the fetch, in milliseconds. */
  ageMs?: number
  /** What is left of the entry's life, in milliseconds. */
  ttlMs?: number
  /** Whether the value is kept. Known once the promise is fulfilled. */
  stored?: boolean
}

/** What was found in the cache. */
export interface FoundListing {
  readonly value: unknown
  readonly ageMs: number
  /** What is left of its life, in milliseconds. */
  readonly ttlMs: number
}

/**
 * Gets a value.
 *
 * @param signal aborts when nobody waits for it any more
 * @param aged for a value that was kept elsewhere: how long ago its load began there, in milliseconds
 */
export type Fetch<T> = (signal: AbortSignal, aged: (ageMs: number) => void) => Promise<T>

export interface GetOrFetchOptions {
  /** Frees this caller alone. When the last caller of a fetch has gone, the fetch's own signal aborts. */
  readonly signal?: AbortSignal
  readonly status?: FolderCacheStatus
}

export interface FolderCacheStats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  readonly joins: number
  readonly loads: number
  readonly evictions: number
  /** Entries and loads that invalidations dropped. */
  readonly invalidations: number
  readonly inFlight: number
}
