import { isStorageError, type StorageErrorCode } from '../errors.ts'

/** The outcome of a load. */
export type LoadOutcome = 'ok' | 'unknown' | StorageErrorCode
/** `reset`: unknown connections may have changed, so that all are read again. */
export type ChangePollOutcome = 'ok' | 'reset' | 'failed'
/** `unneeded`: another process had already refreshed the token. `ended`: the grant has ended. */
export type TokenRefresh = 'refreshed' | 'unneeded' | 'ended' | 'failed'
/** The outcome of a request for a page of the shared cache. */
export type SharedPageOutcome = 'hit' | 'miss' | 'joined' | 'failed'

/** The outcome of a check for changes. `lost`: what has changed cannot be known. */
export type CheckOutcome = 'unchanged' | 'changes' | 'lost' | 'failed'

/** A cache's counters since its creation, and its current size. */
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

/** A connection with a circuit breaker that rejects calls (`open`) or is about to probe (`half_open`). */
export interface TrippedBreaker {
  readonly provider: string
  readonly state: 'open' | 'half_open'
}

/** Stops a watch. Counters remain; gauges disappear. */
export type EndWatch = () => void

/**
 * The metrics of this package. No method throws. No label names a user, a connection or a folder, since each label
 * value creates a time series. Watched values are read when the metrics are scraped and cost nothing between scrapes.
 */
export interface Metrics {
  credentialsUnreadable(provider: string): void
  /** Counts a load that ended `seconds` after it began. */
  listingLoaded(provider: string, seconds: number, outcome: LoadOutcome): void
  /** Counts a poll of the change log of connections. */
  changesPolled(outcome: ChangePollOutcome): void
  tokenRefreshed(provider: string, outcome: TokenRefresh): void
  /** Counts a throttle response of the provider. */
  throttled(provider: string): void
  sharedPage(outcome: SharedPageOutcome): void
  /** Counts a check for changes at the provider that ended `seconds` after it began. */
  checked(provider: string, seconds: number, outcome: CheckOutcome): void
  /** Counts pages that a check has dropped from the cache. */
  pagesDroppedByFeed(provider: string, count: number): void
  /** Counts a page that cannot be confirmed, of a provider whose pages usually can. */
  pageUncovered(provider: string): void
  /** Counts an event that was sent to a client. */
  eventSent(provider: string): void
  /** Watches the number of open event streams. */
  watchEventStreams(read: () => number): EndWatch
  watchCache(read: () => CacheCounts): EndWatch
  /** Breakers that `read` does not return are closed. */
  watchBreakers(read: () => Iterable<TrippedBreaker>): EndWatch
  watchListener(isConnected: () => boolean): EndWatch
}

/** Returns the outcome that a failure is counted as. */
export function outcomeOf(error: unknown): Exclude<LoadOutcome, 'ok'> {
  return isStorageError(error) ? error.code : 'unknown'
}

/** The tracing of this package. */
export interface Tracing {
  /**
   * Runs `work` in a child span of the active one. If `work` fails, the span fails with the error's code alone. Names
   * and attributes must not contain ids, addresses or file names: traces have other readers than the data.
   */
  span<T>(name: string, attributes: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T>
}
