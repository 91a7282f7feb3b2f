import { isStorageError, type StorageErrorCode } from './errors.ts'

/** How a load ended. */
export type LoadOutcome = 'ok' | 'unknown' | StorageErrorCode
/** `missing`: the row is gone, or is not what it was. */
export type LeaseRenewal = 'ok' | 'missing' | 'failed'
/** `unneeded`: another process had done it. `ended`: the grant has. */
export type TokenRefresh = 'refreshed' | 'unneeded' | 'ended' | 'failed'
/** What asking for a page that instances share led to. */
export type SharedPageOutcome = 'hit' | 'miss' | 'joined' | 'failed'

/** What a cache has done since it was made, and what it holds now. */
export interface CacheCounts {
  readonly hits: number
  readonly misses: number
  readonly joins: number
  readonly loads: number
  readonly evictions: number
  readonly invalidations: number
  readonly entries: number
  readonly bytes: number
  readonly inFlight: number
}

/** A connection whose provider is left alone (`open`), or is about to be tried again (`half_open`). */
export interface TrippedBreaker {
  readonly provider: string
  readonly state: 'open' | 'half_open'
}

/** Ends a watch. What was counted stays counted; what was there no longer is. */
export type EndWatch = () => void

/**
 * What the operator's monitoring is told. No method throws, and none is told of a user, a connection or a folder: what
 * is in a label is in as many series as it has values. What is watched is read when somebody looks, and costs nothing
 * until then.
 */
export interface Metrics {
  credentialsUnreadable(provider: string): void
  /** A load ended, `seconds` after it began. */
  listingLoaded(provider: string, seconds: number, outcome: LoadOutcome): void
  leaseRenewed(outcome: LeaseRenewal): void
  tokenRefreshed(provider: string, outcome: TokenRefresh): void
  /** The provider asked for fewer calls. */
  throttled(provider: string): void
  sharedPage(outcome: SharedPageOutcome): void
  watchCache(read: () => CacheCounts): EndWatch
  /** What is not among the read is closed. */
  watchBreakers(read: () => Iterable<TrippedBreaker>): EndWatch
  watchListener(isConnected: () => boolean): EndWatch
}

/** What a failure is counted as. */
export function outcomeOf(error: unknown): Exclude<LoadOutcome, 'ok'> {
  return isStorageError(error) ? error.code : 'unknown'
}
