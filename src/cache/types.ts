import type { Clock, Moment } from '../core/time.ts'
import type { InvalidatedScope } from './shared-tier.ts'

export interface FolderCacheOptions {
  /** Maximal number of entries; the least recently used one is evicted first. */
  readonly max: number
  /** Lifetime of an entry in milliseconds from the start of its fetch, by the clock that has advanced more. */
  readonly ttlMs: number
  /** Maximal total size in bytes, as measured by `sizeOf`. A larger value is returned but not cached. */
  readonly maxBytes: number
  /**
   * The share of `max` and of `maxBytes` that the entries of one user may take, above 0 and up to 1. Beyond it the
   * user's own least recently used entries are evicted, never those of others. One entry is always allowed; a value
   * larger than the share of `maxBytes` is returned but not cached. Default 1: no limit per user.
   */
  readonly maxSharePerUser?: number
  /** Maximal number of concurrent fetches of one user; beyond it callers get `TOO_MANY_REQUESTS`. */
  readonly maxInFlightPerUser: number
  /** The size of a value in bytes. Default: the length of its JSON text in UTF-8. */
  readonly sizeOf?: (value: unknown) => number
  /** Returns the validity of a value that is confirmed from time to time. Default: all values expire after `ttlMs`. */
  readonly validityOf?: (value: unknown) => Validity | undefined
  readonly clock: Clock
  /** Called for each local invalidation, so that other caches of the same pages can drop them too. */
  readonly onInvalidated?: (scope: InvalidatedScope) => void
}

/** The validity of a value that its source confirms from time to time. */
export interface Validity {
  /** Lifetime in milliseconds from the start of the load. 0: the value is not cached. */
  readonly ttlMs: number
  /** Longest time in milliseconds without a confirmation. An older value is not returned until it is confirmed. */
  readonly maxAgeMs: number
  /**
   * Returns the milliseconds since the value was loaded or last confirmed, or `Infinity` if it must be confirmed now.
   *
   * @param loadAgeMs the milliseconds since its load began
   */
  ageAt(now: Moment, loadAgeMs: number): number
}

/** A cached value, or a load in flight. */
export interface CachedSlot {
  readonly folder: FolderKey
  /** `undefined` for a load, and for a value without. */
  readonly validity: Validity | undefined
}

/** Filled in by `getOrFetch`, for diagnosis. */
export interface FolderCacheStatus {
  /** `hit`: a cached value; `miss`: this caller's fetch; `join`: another caller's fetch. */
  outcome?: 'hit' | 'miss' | 'join'
  /** Milliseconds since the start of the fetch, or since the latest confirmation of the value. */
  ageMs?: number
  /** The remaining lifetime in milliseconds: until the value expires, or must be confirmed. */
  ttlMs?: number
  /** True if the value is cached. Set once the promise is fulfilled. */
  stored?: boolean
}

/** A cache hit. */
export interface FoundListing {
  readonly key: FolderKey
  readonly value: unknown
  /** Milliseconds since its load began, or since its latest confirmation. */
  readonly ageMs: number
  /** The remaining lifetime in milliseconds: until the value expires, or must be confirmed. */
  readonly ttlMs: number
}

/** A cached value, which may have expired. */
export interface PeekedEntry extends FoundListing {
  /** No confirmation can make it usable again. */
  readonly isExpired: boolean
}

/**
 * Fetches a value.
 *
 * @param signal aborts when no caller waits any more
 * @param reportAge reports the age of a value from another cache: the milliseconds since its load began there
 */
export type Fetch<T> = (signal: AbortSignal, reportAge: (ageMs: number) => void) => Promise<T>

export interface GetOrFetchOptions {
  /** Releases this caller alone. When the last caller of a fetch has left, the fetch's own signal aborts. */
  readonly signal?: AbortSignal
  readonly status?: FolderCacheStatus
  /** Joins no load that began longer ago, in milliseconds. Default: `ttlMs`. */
  readonly maxJoinAgeMs?: number | undefined
}

export interface FolderCacheStats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  readonly joins: number
  readonly loads: number
  readonly evictions: number
  /** Entries and loads dropped by invalidations. */
  readonly invalidations: number
  readonly inFlight: number
}

/** A user's folder. */
export interface FolderKey {
  readonly userId: string
  readonly provider: string
  /** `null`: the root. */
  readonly folderId: string | null
  readonly connectionId?: string
  /** Distinguishes the cached values of one folder, such as its pages. */
  readonly variant?: string
}

/**
 * Joins parts injectively, whatever characters they contain: each is prefixed with its length. (`a:b` + `c` joined by
 * a colon equals `a` + `b:c`.)
 */
export function joinKey(...parts: readonly (string | null | undefined)[]): string {
  let key = ''
  for (const part of parts) {
    if (part === undefined) key += '-'
    else if (part === null) key += '0'
    else key += `${part.length}:${part}`
  }
  return key
}

export function folderKeyToString(key: FolderKey): string {
  return joinKey(key.userId, key.provider, key.folderId, key.connectionId, key.variant)
}
