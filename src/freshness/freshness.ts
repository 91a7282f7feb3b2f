import { setMaxListeners } from 'node:events'
import { LRUCache } from 'lru-cache'
import type { SharedRecords } from '../cache/shared-tier.ts'
import { type CachedSlot, joinKey, type Validity } from '../cache/types.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { Change } from '../core/change-feed.ts'
import { type Connection, isSameVersion } from '../core/connection.ts'
import type { EntryPage } from '../core/entry.ts'
import type { CheckOutcome, Metrics } from '../core/telemetry.ts'
import { type Clock, Moment, raceSignal, withTimeout } from '../core/time.ts'
import { StorageError } from '../errors.ts'
import { ChangeSet, type ComparablePage } from './change-set.ts'
import { ConnectionFeeds, type LoadTicket, type MarkOutcome } from './connection-feeds.ts'
import { Coverage, MarkCoverage, ScopeCoverage } from './coverage.ts'
import { describeFolder, describePage, hasHash, type PageContent } from './fingerprint.ts'
import { PageMatcher } from './page-matcher.ts'
import { type Confirmation, failureOf, isFeedPage, isPosition, MAX_TEXT_LENGTH, type ScopeFeed } from './scope-feed.ts'
import { type FeedActions, SharedFeeds } from './shared-feeds.ts'
import type { StoredCoverage } from './stored-page.ts'

/** The part of the cache that changes drop pages from. */
export interface PageCache {
  slotsOf(connectionId: string): readonly CachedSlot[]
  invalidateFoldersOf(slots: readonly CachedSlot[]): number
  invalidateConnection(connectionId: string): number
  /** Do the same in this process only. */
  dropFoldersOf(slots: readonly CachedSlot[]): number
  dropConnection(connectionId: string): number
}

export interface FreshnessOptions {
  readonly cache: PageCache
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'checked' | 'pagesDroppedByFeed' | 'pageUncovered'>
  /** Returns the longest time in milliseconds for which a covered page is used without a check. */
  readonly checkMsOf: (provider: string) => number
  /** Returns for how long the listings of a provider may be older than its feed, in milliseconds. */
  readonly settleMsOf: (provider: string) => number
  /** Lifetime of a covered page, in milliseconds. */
  readonly coveredTtlMs: number
  /** How long an unconfirmed page may be used during an outage of its provider, in milliseconds. 0: not at all. */
  readonly staleIfErrorMs: number
  /** What the instances share. Default: nothing, each reads the feeds for itself. */
  readonly records?: SharedRecords | undefined
  /** Maximal number of connections with known positions. Default 5,000. */
  readonly maxConnections?: number
}

/** A connection whose pages are loaded and confirmed. */
export interface FeedSource {
  readonly connection: Connection
  /** The backend for the current load. */
  readonly backend: StorageBackend
  /** Returns the backend for later checks: the one that is open, without a query, while the connection is leased. */
  readonly open: () => Promise<StorageBackend>
}

const MAX_CONNECTIONS = 5_000
/** Timeout of taking a position, of a check, and of the check of a mark: all are shorter than a load. */
const TIMEOUT_MS = 3_000
const MAX_FEED_PAGES = 5
const MAX_CHANGES = 1_000
const MAX_SCOPE_LENGTH = 256
/** A position that could not be taken is not taken again earlier: each load would wait for it. */
const POSITION_RETRY_MS = 60_000
/** A mark confirms one folder. Checks ahead of folders that are not opened again would cost more than listings. */
const MIN_HITS_AHEAD = 3

/** Of a page that a change has overtaken while it was loaded: its callers get it, and it is not cached. */
const NOT_CACHED: Validity = { ttlMs: 0, maxAgeMs: 0, ageAt: (_now, loadAgeMs) => loadAgeMs }

/**
 * Confirms cached pages by what their provider reports about changes (docs/decisions/0052). A check is started by the
 * readers of a page and never by a timer; it serves all pages of its scope.
 */
export class Freshness {
  readonly #options: FreshnessOptions
  readonly #connections: LRUCache<string, ConnectionFeeds>
  readonly #shared: SharedFeeds | null
  readonly #matcher: PageMatcher
  readonly #running = new Set<Promise<unknown>>()
  readonly #shutdown = new AbortController()

  constructor(options: FreshnessOptions) {
    this.#options = options
    const { records, clock } = options
    // Each call in flight listens. By default, the eleventh would print a warning.
    setMaxListeners(0, this.#shutdown.signal)
    this.#shared = records === undefined ? null : new SharedFeeds({ records, clock })
    this.#matcher = new PageMatcher({
      ...options,
      shared: this.#shared,
      apply: (feeds, feed, changes) => {
        this.#apply(feeds, feed, changes, true)
      },
      run: (work) => this.#track(this.#call(work))
    })
    this.#connections = new LRUCache({
      max: options.maxConnections ?? MAX_CONNECTIONS,
      dispose: (feeds) => {
        feeds.drop()
      }
    })
  }

  /** Returns the coverage of a listing, if it has one. */
  static coverageOf(value: unknown): Coverage | undefined {
    const { coverage } = (value ?? {}) as { readonly coverage?: unknown }
    return coverage instanceof Coverage ? coverage : undefined
  }

  /**
   * Returns the validity of a listing that is about to be cached. In this turn of the event loop: from here on changes
   * find it in the cache, and until here they are remembered.
   */
  static validityOf(value: unknown): Validity | undefined {
    const coverage = Freshness.coverageOf(value)
    return coverage?.isOvertaken() === true ? NOT_CACHED : coverage
  }

  /** Returns the longest time in milliseconds for which a covered page of a provider is used without a check. */
  checkMsOf(provider: string): number {
    return this.#options.checkMsOf(provider)
  }

  /** How old a load may be that a reader joins: no older than what a check would have confirmed. */
  maxJoinAgeMs({ id, provider }: Pick<Connection, 'id' | 'provider'>): number | undefined {
    return this.#connections.has(id) ? this.#options.checkMsOf(provider) : undefined
  }

  /**
   * Loads a page. The positions of all known scopes of the connection, and of the root's, are taken before: what a feed
   * reports from there on is all that the page may miss.
   *
   * @returns the page with its coverage; `null` if it cannot be confirmed later
   */
  async load(
    source: FeedSource,
    folderId: string | null,
    list: () => Promise<EntryPage>,
    signal: AbortSignal
  ): Promise<{ readonly page: EntryPage; readonly coverage: Coverage | null }> {
    const { connection, backend } = source
    const hasFeed = backend.position !== undefined && backend.changes !== undefined
    const feeds = hasFeed || backend.isCurrent !== undefined ? this.#feedsOf(source) : null
    if (feeds === null) return { page: await list(), coverage: null }
    if (hasFeed) await raceSignal(this.#ensurePositions(feeds, backend), signal)
    const ticket = feeds.beginLoad(this.#now())
    const page = await list()
    const coverage = this.#cover(feeds, ticket, folderId, page, backend)
    if (coverage === null) this.#options.metrics.pageUncovered(connection.provider)
    return { page, coverage }
  }

  /**
   * Confirms a page that is too old to be used, by a check that all readers share.
   *
   * @param checkMs the scope is not checked again if it was less than this ago; default: the check interval
   */
  async confirm(coverage: Coverage, signal: AbortSignal, checkMs = coverage.maxAgeMs): Promise<Confirmation> {
    const { feeds, maxAgeMs } = coverage
    if (feeds.isDropped) return 'expired'
    if (!(coverage instanceof ScopeCoverage)) {
      return await raceSignal(this.#confirmMark(coverage, Math.min(checkMs, maxAgeMs)), signal)
    }
    if (coverage.mustReload(this.#now())) return 'expired'
    const { feed } = coverage
    if (feed.checkedAt === null || feed.checkedAt.ageMs(this.#options.clock) >= checkMs) {
      const outcome = await raceSignal(this.#check(feeds, feed, maxAgeMs, Math.min(checkMs, maxAgeMs)), signal)
      if (outcome !== 'confirmed') return outcome
    }
    return coverage.isDoubtful ? await raceSignal(this.#confirmMark(coverage), signal) : 'confirmed'
  }

  /**
   * Covers a page that another instance has loaded, if nothing can have changed in it, and confirms it if it is too old.
   *
   * @param startedAt when its load began
   * @returns `null` if the page must be loaded again
   */
  async take(
    source: Pick<FeedSource, 'connection' | 'open'>,
    folderId: string | null,
    stored: StoredCoverage,
    startedAt: Moment,
    signal: AbortSignal
  ): Promise<Coverage | null> {
    const feeds = this.#feedsOf(source)
    const coverage = feeds && (await raceSignal(this.#matcher.match(feeds, folderId, stored, startedAt), signal))
    if (coverage === null || coverage.isOvertaken()) return null
    const isUsable = (): boolean => {
      const now = this.#now()
      return coverage.ageAt(now, startedAt.ageAt(now)) < coverage.maxAgeMs
    }
    if (!isUsable() && (await this.confirm(coverage, signal)) !== 'confirmed') return null
    // The check may have found a change of it.
    return !coverage.isOvertaken() && isUsable() ? coverage : null
  }

  /**
   * Starts the next check in the background once half of the time has passed, so that active readers never wait. Called
   * for each hit.
   */
  checkAhead(coverage: Coverage, ageMs: number): void {
    const { feeds, maxAgeMs } = coverage
    if (coverage instanceof MarkCoverage) coverage.hits += 1
    if (ageMs * 2 < maxAgeMs) return
    if (coverage instanceof MarkCoverage && coverage.hits < MIN_HITS_AHEAD) return
    void (coverage instanceof ScopeCoverage
      ? this.#check(feeds, coverage.feed, maxAgeMs, maxAgeMs / 2)
      : this.#confirmMark(coverage, maxAgeMs / 2))
  }

  /** Returns true if an unconfirmed page may be used because its provider is unavailable. */
  mayServeStale(coverage: Coverage, ageMs: number): boolean {
    return ageMs < coverage.maxAgeMs + this.#options.staleIfErrorMs
  }

  /** Forgets a connection that has changed. Its pages expire. */
  drop(connectionId: string): void {
    this.#connections.delete(connectionId)
  }

  /** Starts no more checks, and resolves when those in flight have ended. */
  async close(): Promise<void> {
    this.#shutdown.abort(new StorageError('SHUTTING_DOWN'))
    await Promise.allSettled(this.#running)
  }

  /** Returns the feeds of this version of a connection; `null` if a later version is known. */
  #feedsOf({ connection, open }: Pick<FeedSource, 'connection' | 'open'>): ConnectionFeeds | null {
    const known = this.#connections.get(connection.id)
    if (known !== undefined && isSameVersion(known.connection, connection)) return known
    if (known !== undefined && known.connection.version > connection.version) return null
    const created = new ConnectionFeeds(connection, open, this.#options.settleMsOf(connection.provider))
    this.#connections.set(connection.id, created)
    return created
  }

  /** Never rejects: the pages of a scope without a position are not covered. */
  async #ensurePositions(feeds: ConnectionFeeds, backend: StorageBackend): Promise<void> {
    const missing = [...feeds.scopes()].filter(({ position }) => position === null)
    if (missing.length > 0) await Promise.all(missing.map((feed) => this.#takePosition(feeds, feed, backend)))
  }

  #takePosition(feeds: ConnectionFeeds, feed: ScopeFeed, backend: StorageBackend): Promise<void> {
    if (feed.positioning !== null) return feed.positioning
    if (this.#isRecent(feed.failedAt, POSITION_RETRY_MS)) return Promise.resolve()
    const take = async (): Promise<void> => {
      try {
        if (feed.synchronizing !== null) await feed.synchronizing
        if (feed.position !== null) return
        const position = await this.#call((signal) => {
          const request = async (): Promise<string> => {
            const position = await backend.position?.(feed.name, { signal })
            if (!isPosition(position)) throw new StorageError('PROVIDER_ERROR')
            return position
          }
          return this.#shared === null ? request() : this.#shared.takePosition(feeds.connection, feed, request, signal)
        })
        feeds.setPosition(feed, position, this.#now())
      } catch {
        feed.failedAt = this.#now()
      } finally {
        feed.positioning = null
      }
    }
    return (feed.positioning = this.#track(take()))
  }

  /** Returns the coverage of a page that was just loaded; `null` if it cannot be confirmed later. */
  #cover(
    feeds: ConnectionFeeds,
    ticket: LoadTicket,
    folderId: string | null,
    page: EntryPage,
    backend: StorageBackend
  ): Coverage | null {
    const { freshness = null } = page
    if (freshness === null || feeds.isDropped) return null
    const { scope, mark = null } = freshness
    if (mark !== null && mark.length > MAX_TEXT_LENGTH) return null
    const { coveredTtlMs, checkMsOf } = this.#options
    const maxAgeMs = checkMsOf(feeds.connection.provider)
    const content = describePage(folderId, page)
    const init = { ttlMs: coveredTtlMs, maxAgeMs, feeds, ticket, content, mark }
    if (scope === undefined) return backend.isCurrent === undefined ? null : new MarkCoverage(init)

    if (scope.length > MAX_SCOPE_LENGTH || backend.position === undefined || backend.changes === undefined) return null
    const feed = feeds.useScope(scope)
    // Its position is taken for the next pages; this one may miss what had changed before.
    if (feed.position === null) void this.#takePosition(feeds, feed, backend)
    if (feed.position === null || feed.positionedSequence > ticket.sequence) return null
    const unsettledSince = feeds.unsettledSince(ticket, { content, scope, hasMark: mark !== null }, feed)
    return new ScopeCoverage(init, feed, feeds.doubtsBefore(ticket, feed), unsettledSince)
  }

  /** Reads a feed, once for all readers. Never rejects. */
  #check(feeds: ConnectionFeeds, feed: ScopeFeed, checkMs: number, usableMs = checkMs): Promise<Confirmation> {
    if (feed.checking !== null) return feed.checking
    if (feed.isDropped || feed.position === null) return Promise.resolve('expired')
    // Soon after a failure, readers load their pages without another attempt.
    if (this.#isRecent(feed.failedAt, checkMs / 2)) return Promise.resolve(feed.failure)
    const run = async (): Promise<Confirmation> => {
      if (feed.synchronizing !== null) await feed.synchronizing
      const startedAt = this.#now()
      try {
        const checkedAt = await this.#call((signal) => this.#readOrShare(feeds, feed, usableMs, signal))
        feed.failedAt = null
        if (checkedAt === null) return 'expired'
        const now = this.#now()
        if (feed.checkedAt === null || checkedAt.ageAt(now) < feed.checkedAt.ageAt(now)) feed.checkedAt = checkedAt
        return 'confirmed'
      } catch (error) {
        feed.failedAt = this.#now()
        feed.failure = failureOf(error)
        this.#record(feeds, 'failed', startedAt)
        return feed.failure
      } finally {
        feed.checking = null
      }
    }
    return (feed.checking = this.#track(run()))
  }

  /** @returns when the feed was last read to its end; `null` if the position is lost */
  #readOrShare(feeds: ConnectionFeeds, feed: ScopeFeed, usableMs: number, signal: AbortSignal): Promise<Moment | null> {
    if (this.#shared === null) return this.#read(feeds, feed, signal)
    const actions: FeedActions = {
      apply: (changes) => {
        this.#apply(feeds, feed, changes, true)
      },
      read: (changes) => this.#read(feeds, feed, signal, changes),
      track: (work) => void this.#track(work)
    }
    return this.#shared.check(feeds.connection, feed, usableMs, actions, signal)
  }

  /**
   * Reads a feed to its end, and drops the pages that it names.
   *
   * @param changes receives what was read
   * @returns when the read began; `null` if the position is lost
   */
  async #read(
    feeds: ConnectionFeeds,
    feed: ScopeFeed,
    signal: AbortSignal,
    changes: Change[] = []
  ): Promise<Moment | null> {
    const startedAt = this.#now()
    const backend = await feeds.open()
    let count = 0
    for (let pages = 0; pages < MAX_FEED_PAGES && feed.position !== null; pages += 1) {
      signal.throwIfAborted()
      const page: unknown = await backend.changes?.(feed.name, feed.position, { signal })
      // A check that has timed out must not go on: another one may have begun.
      signal.throwIfAborted()
      if (!isFeedPage(page)) break
      count += page.changes.length
      if (count > MAX_CHANGES) break
      // In one turn: a page that is loaded from here on is compared with what follows the new position.
      this.#apply(feeds, feed, new ChangeSet(feed.name, page.changes, this.#now()))
      feed.position = page.position
      changes.push(...page.changes)
      if (page.hasMore) continue
      this.#record(feeds, count === 0 ? 'unchanged' : 'changes', startedAt)
      return startedAt
    }
    feed.lose()
    this.#apply(feeds, feed, ChangeSet.ofEverything(feed.name, this.#now()))
    this.#record(feeds, 'lost', startedAt)
    return null
  }

  /**
   * Drops the pages that changes name, and remembers the changes for pages that are being loaded.
   *
   * @param isLocal another instance has read them, and has begun new generations of the folders
   */
  #apply(feeds: ConnectionFeeds, feed: ScopeFeed, changes: ChangeSet, isLocal = false): void {
    if (changes.count === 0 && !changes.isOfEverything) return
    const { cache } = this.#options
    const { id } = feeds.connection
    const slots = cache.slotsOf(id)
    const pages = slots.map(toComparable)
    const named = changes.findNamed(pages)
    if (!isLocal) feeds.beginUnshared(feed)
    feeds.remember(changes, changes.readAt)
    if (changes.isOfUnknownItem) {
      feed.doubts += 1
      feed.doubtedAt = changes.readAt
    }
    const dropped = slots.filter((_slot, at) => named.has(pages[at] as ComparablePage))
    const drop = (): number => {
      if (changes.isOfEverything) return isLocal ? cache.dropConnection(id) : cache.invalidateConnection(id)
      return isLocal ? cache.dropFoldersOf(dropped) : cache.invalidateFoldersOf(dropped)
    }
    this.#recordDropped(feeds, drop())
  }

  /**
   * Checks the mark of a page's folder, once for all readers. Never rejects.
   *
   * @param usableMs how old the check of another instance may be. It may have begun before a doubt, which it does not
   * resolve
   */
  async #confirmMark(coverage: Coverage, usableMs = 0): Promise<Confirmation> {
    const { feeds, content, mark, maxAgeMs } = coverage
    if (mark === null || this.#isRecent(coverage.failedAt, maxAgeMs / 2)) return 'expired'
    const hasDoubts = coverage instanceof ScopeCoverage
    const key = joinKey(hasDoubts ? 'doubt' : 'age', content.folderId, mark)
    let check = feeds.markChecks.get(key)
    if (check === undefined) {
      const run = (): Promise<MarkOutcome> =>
        this.#shared === null || hasDoubts
          ? this.#checkMark(coverage, mark)
          : this.#shared.checkMark({ connection: feeds.connection, folderId: content.folderId, mark }, usableMs, {
              check: () => this.#checkMark(coverage, mark),
              track: (work) => void this.#track(work)
            })
      const outcome = this.#track(run()).finally(() => {
        feeds.markChecks.delete(key)
      })
      check = { doubts: hasDoubts ? coverage.feed.doubts : 0, outcome }
      feeds.markChecks.set(key, check)
    }
    const { confirmation, checkedAt } = await check.outcome
    if (confirmation === 'confirmed') coverage.confirmMark(checkedAt, check.doubts)
    else if (confirmation === 'failed') coverage.failedAt = this.#now()
    return confirmation
  }

  async #checkMark({ feeds, content }: Coverage, mark: string): Promise<MarkOutcome> {
    const startedAt = this.#now()
    try {
      const isCurrent = await this.#call(async (signal) => {
        const backend = await feeds.open()
        signal.throwIfAborted()
        return await backend.isCurrent?.(content.folderId, mark, { signal })
      })
      this.#record(feeds, isCurrent === true ? 'unchanged' : 'changes', startedAt)
      if (isCurrent === true) return { confirmation: 'confirmed', checkedAt: startedAt }
      const { cache } = this.#options
      const isSameFolder = (slot: CachedSlot): boolean => isOfFolder(toComparable(slot).content, content)
      this.#recordDropped(feeds, cache.invalidateFoldersOf(cache.slotsOf(feeds.connection.id).filter(isSameFolder)))
      return { confirmation: 'expired', checkedAt: startedAt }
    } catch (error) {
      this.#record(feeds, 'failed', startedAt)
      return { confirmation: failureOf(error), checkedAt: startedAt }
    }
  }

  #record({ connection }: ConnectionFeeds, outcome: CheckOutcome, startedAt: Moment): void {
    const { metrics, clock } = this.#options
    metrics.checked(connection.provider, startedAt.ageMs(clock) / 1000, outcome)
  }

  #recordDropped({ connection }: ConnectionFeeds, count: number): void {
    if (count > 0) this.#options.metrics.pagesDroppedByFeed(connection.provider, count)
  }

  #isRecent(moment: Moment | null, maxAgeMs: number): boolean {
    return moment !== null && moment.ageMs(this.#options.clock) < maxAgeMs
  }

  /** Runs calls of a backend within the timeout. */
  #call<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const toError = (): StorageError => new StorageError('PROVIDER_TIMEOUT', 'The provider responded too slowly.')
    return withTimeout(TIMEOUT_MS, this.#shutdown.signal, toError, run)
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work)
    const onSettled = (): void => {
      this.#running.delete(work)
    }
    work.then(onSettled, onSettled)
    return work
  }

  #now(): Moment {
    return new Moment(this.#options.clock)
  }
}

/** Describes a load, or a page without coverage, by the folder alone. */
function toComparable({ folder, validity }: CachedSlot): ComparablePage {
  if (validity instanceof Coverage) return validity
  return { content: describeFolder(folder.folderId), scope: null, hasMark: false }
}

function isOfFolder(page: PageContent, { folderId, folder }: PageContent): boolean {
  return page.folderId === folderId || folder.some((hash) => hasHash(page.folder, hash))
}
