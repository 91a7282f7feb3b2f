import type { FolderCache } from '../cache/folder-cache.ts'
import type { SharedFolderKey, SharedPage, SharedTier } from '../cache/shared-tier.ts'
import { type FolderCacheStatus, type FolderKey, folderKeyToString, type FoundListing } from '../cache/types.ts'
import type { Leases } from '../connections/leases.ts'
import type { PageParameters, StorageBackend } from '../core/backend.ts'
import {
  type Connection,
  type ConnectionSelector,
  type SealedConnection,
  withoutCredentials
} from '../core/connection.ts'
import type { Entry, EntryPage, Listing } from '../core/entry.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import { type LoadOutcome, type Metrics, outcomeOf } from '../core/telemetry.ts'
import { type Clock, Moment } from '../core/time.ts'
import { StorageError } from '../errors.ts'
import { type FeedSource, Freshness } from '../freshness/freshness.ts'
import type { Confirmation } from '../freshness/scope-feed.ts'
import { decodeStoredPage, encodeStoredPage, isCoveredPage } from '../freshness/stored-page.ts'
import { type Cursors, type CursorScope, isUnchanged, listingKey } from './keys.ts'
import type { ReadAhead } from './read-ahead.ts'
import { RenderedListing } from './rendered-listing.ts'

export interface ListFolderRequest extends ConnectionSelector {
  /** `null`: the root. */
  readonly folderId: string | null
  readonly cursor: string | undefined
  readonly parameters: PageParameters
  /** Drop the cached pages of this folder, and load again. */
  readonly refresh: boolean
}

export interface ListingStatus extends FolderCacheStatus {
  /** Another process had loaded the page, or was loading it. */
  isShared?: boolean
  /** A check in this request has confirmed the page. */
  isConfirmed?: boolean
  /** The page could not be confirmed, since the provider is unavailable. */
  isStale?: boolean
}

export interface ListFolderResult {
  readonly listing: RenderedListing
  readonly status: ListingStatus
  /** The key of the cache entry. */
  readonly key: FolderKey
}

type FolderIdRules = Pick<ProviderDefinition, 'checkFolderId'>

export interface FolderListingsOptions {
  readonly leases: Leases
  readonly cache: FolderCache
  readonly providers: {
    /** Returns `undefined` until the provider's module has been imported. */
    getLoaded(id: string): FolderIdRules | undefined
    load(id: string): Promise<FolderIdRules>
  }
  readonly openConnection: (connection: SealedConnection) => Promise<StorageBackend>
  /** Returns the backend that is open for this version of a connection, for calls that disclose nothing. */
  readonly findOpen: (connection: Connection) => StorageBackend | undefined
  /** The cache shared by all processes, if the host application has configured one. */
  readonly shared: SharedTier | null
  /** `null`: read-ahead is disabled. */
  readonly readAhead: ReadAhead | null
  /** `null`: pages are never confirmed, and expire after the `ttlMs` of the cache. */
  readonly freshness: Freshness | null
  readonly cursors: Cursors
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'listingLoaded'>
}

/** A request with its leased connection and its cached page, both found in the same turn of the event loop. */
export interface ListingLookup {
  readonly request: ListFolderRequest
  /** The cached listing of a leased connection; `undefined` if it takes a load. */
  readonly result?: ListFolderResult
  readonly connection?: Connection | undefined
  readonly provider?: FolderIdRules | undefined
}

/** One page of a listing, as it is loaded for one connection. */
interface PageRequest {
  /** The row read for this request, with its sealed credentials; or the leased connection. */
  readonly connection: Connection | SealedConnection
  readonly scope: CursorScope
  /** The provider's cursor. */
  readonly cursor: string | undefined
  readonly key: FolderKey
  readonly signal: AbortSignal
  /** Called if another process had loaded the page, with the milliseconds since then. */
  readonly onShared: (ageMs: number) => void
}

/** Ends a load if the connection has changed since the request. */
class ConnectionChangedError extends Error {}

/** Attempts to list through a connection that keeps changing meanwhile. */
const MAX_ATTEMPTS = 3

/**
 * Lists folders through the cache. The connection is checked before the cache is read and, if anything was loaded or
 * awaited, again right before the response. While the lease of the instance is held, a hit costs no query.
 */
export class FolderListings {
  readonly #options: FolderListingsOptions

  constructor(options: FolderListingsOptions) {
    this.#options = options
  }

  /**
   * Looks for the cached listing of a request with the same parameters, synchronously and without parsing them again.
   * Most hits are repetitions.
   */
  lookUpRepeated(userId: string, parameters: string): ListFolderResult | undefined {
    const { leases, cache, shared, clock } = this.#options
    if (shared !== null) return undefined
    const now = new Moment(clock)
    const user = leases.leasedUser(userId, now)
    const found = user && cache.lookUpAlias(userId, parameters, user, now)
    return found && this.#toHit(found)
  }

  /**
   * Looks for the cached listing of a leased connection, synchronously.
   *
   * @param parameters under which {@link lookUpRepeated} finds the listing; they determine the request of this user
   */
  lookUp(request: ListFolderRequest, parameters?: string): ListingLookup {
    const { leases, cache, shared, providers, clock } = this.#options
    if (request.refresh) return { request }
    const now = new Moment(clock)
    const connection = leases.findLeased(request, now)
    if (connection === undefined) return { request }
    const provider = shared === null ? undefined : providers.getLoaded(request.provider)
    if (shared !== null) {
      if (provider === undefined) return { request, connection }
      // Before the generation is read: an impossible folder must get none.
      checkFolderId(provider, request)
    }
    const folder = folderOf(request, connection)
    const generation = shared === null ? null : shared.getGeneration(folder)
    if (generation instanceof Promise) return { request, connection, provider }
    const key = listingKey(folder, connection, request, generation)
    const found = cache.lookUp(key, now)
    if (!(found?.value instanceof RenderedListing)) return { request, connection, provider }
    const result = this.#toHit(found)
    const user = leases.leasedUser(request.userId, now)
    if (parameters !== undefined && shared === null && user !== undefined) cache.setAlias(key, parameters, user)
    this.#startReadAhead(request, connection, generation, result.listing)
    return { request, result }
  }

  /** Loads the listing. @param lookup of this turn of the event loop */
  async load({ request, connection: leased, provider }: ListingLookup, signal: AbortSignal): Promise<ListFolderResult> {
    const { leases, cache, cursors, providers } = this.#options
    let refreshedId: string | undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const connection = (attempt === 0 ? leased : undefined) ?? (await leases.select(request))
      provider ??= providers.getLoaded(request.provider)
      // The connection was checked in this turn of the event loop, unless something is awaited from here on.
      const hasWaited = provider === undefined
      provider ??= await providers.load(request.provider)
      checkFolderId(provider, request)
      const scope = scopeOf(request, connection)
      const cursor = request.cursor === undefined ? undefined : cursors.open(request.cursor, scope)
      // Once per connection: another attempt may choose another one.
      if (request.refresh && refreshedId !== connection.id) cache.invalidateFolder(folderOf(request, connection))
      refreshedId = connection.id
      try {
        return await this.#loadThrough(request, { connection, scope, cursor, signal }, hasWaited)
      } catch (error) {
        if (!(error instanceof ConnectionChangedError)) throw error
      }
    }
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.').about({
      provider: request.provider,
      connectionId: refreshedId
    })
  }

  /**
   * Loads the listing through one connection.
   *
   * @param hasWaited whether something was awaited since the connection was checked
   * @throws ConnectionChangedError if the connection has changed meanwhile
   */
  async #loadThrough(
    request: ListFolderRequest,
    page: Omit<PageRequest, 'key' | 'onShared'>,
    hasWaited: boolean
  ): Promise<ListFolderResult> {
    const { leases, shared } = this.#options
    const { connection, signal } = page
    const folder = folderOf(request, connection)
    let generation = shared === null ? null : shared.getGeneration(folder)
    if (generation instanceof Promise) {
      generation = await generation
      hasWaited = true
    }
    let key = listingKey(folder, connection, request, generation)

    const status: ListingStatus = {}
    const confirmation = this.#beginConfirmation(key, signal)
    let stale: RenderedListing | undefined
    if (confirmation !== undefined) {
      const outcome = await confirmation
      hasWaited = true
      if (outcome === 'confirmed') status.isConfirmed = true
      if (outcome === 'failed') stale = this.#findStale(key, status)
      // A change that was found has begun a new generation.
      generation = shared === null ? null : await shared.getGeneration(folder)
      key = listingKey(folder, connection, request, generation)
    }

    const listing = stale ?? (await this.#getOrLoad({ ...page, key }, status))
    let current: Connection | null = connection
    if (status.outcome !== 'hit' || hasWaited) {
      current = await leases.find(request.userId, connection.id)
      if (current === null || !isUnchanged(current, connection)) throw new ConnectionChangedError()
    }
    this.#startReadAhead(request, current, generation, listing)
    return { listing, status, key }
  }

  /** Returns the cached page, or loads it. @param status receives the outcome */
  async #getOrLoad(page: Omit<PageRequest, 'onShared'>, status: ListingStatus): Promise<RenderedListing> {
    const { cache, freshness } = this.#options
    const { connection, key, signal } = page
    return await cache.getOrFetch(
      key,
      (loadSignal, reportAge) => {
        const onShared = (ageMs: number): void => {
          reportAge(ageMs)
          status.isShared = true
        }
        return this.#loadPage({ ...page, signal: loadSignal, onShared })
      },
      { signal, status, maxJoinAgeMs: freshness?.maxJoinAgeMs(connection) }
    )
  }

  #toHit({ key, value, ageMs, ttlMs }: FoundListing): ListFolderResult {
    // Only this module caches values under the keys of listings.
    const listing = value as RenderedListing
    if (listing.coverage !== null) this.#options.freshness?.checkAhead(listing.coverage, ageMs)
    return { key, listing, status: { outcome: 'hit', ageMs, ttlMs, stored: true } }
  }

  /** Begins to confirm a cached page that is too old to be used; `undefined` if there is none. */
  #beginConfirmation(key: FolderKey, signal: AbortSignal): Promise<Confirmation> | undefined {
    const { freshness, cache, clock } = this.#options
    const found = freshness === null ? undefined : cache.peek(key, new Moment(clock))
    const coverage = Freshness.coverageOf(found?.value)
    if (found === undefined || coverage === undefined || found.ttlMs > 0) return undefined
    return freshness?.confirm(coverage, signal)
  }

  /** Returns an unconfirmed page if the operator accepts it during an outage. */
  #findStale(key: FolderKey, status: ListingStatus): RenderedListing | undefined {
    const { freshness, cache, clock } = this.#options
    const found = cache.peek(key, new Moment(clock))
    if (!(found?.value instanceof RenderedListing) || found.value.coverage === null) return undefined
    if (freshness?.mayServeStale(found.value.coverage, found.ageMs) !== true) return undefined
    Object.assign(status, { outcome: 'hit', ageMs: found.ageMs, ttlMs: found.ttlMs, stored: true, isStale: true })
    return found.value
  }

  /** Loads the next page ahead if the reader reached this page by a cursor. */
  #startReadAhead(
    request: ListFolderRequest,
    connection: Connection | SealedConnection,
    generation: string | null,
    listing: RenderedListing
  ): void {
    const { readAhead, cursors } = this.#options
    const { next } = listing
    if (readAhead === null || request.cursor === undefined || next === null) return
    const scope = scopeOf(request, connection)
    const key = listingKey(folderOf(request, connection), connection, { ...request, cursor: next }, generation)
    readAhead.begin(listing, key, async (signal, reportAge) => {
      const cursor = cursors.open(next, scope)
      return await this.#loadPage({ connection, scope, cursor, key, signal, onShared: reportAge })
    })
  }

  /** Loads a page from the shared cache, or else from the provider. @throws ConnectionChangedError */
  async #loadPage(request: PageRequest): Promise<RenderedListing> {
    const { shared } = this.#options
    if (shared === null) return await this.#fetchPage(request)
    let fetched: RenderedListing | undefined
    let taken: RenderedListing | null | undefined
    const { key, signal } = request
    const accepts = async (page: SharedPage): Promise<boolean> => {
      taken = await this.#takePage(request, page)
      return taken !== null
    }
    const page = await shared.getOrLoad(
      key.userId,
      folderKeyToString(key),
      async () => {
        fetched = await this.#fetchPage(request)
        return this.#encode(fetched)
      },
      signal,
      { isCovered: isCoveredPage, accepts }
    )
    if (fetched !== undefined) return fetched
    request.onShared(page.ageMs)
    return taken ?? RenderedListing.fromBytes(page.bytes)
  }

  /** Returns a listing as other processes can use it; empty if they cannot. */
  #encode({ identity, coverage }: RenderedListing): Buffer {
    if (coverage === null) return identity.bytes
    const stored = coverage.toStored(this.#options.clock)
    return stored === null ? Buffer.alloc(0) : encodeStoredPage(identity.bytes, stored)
  }

  /** Returns the listing of another process; `null` if it may have changed since it was loaded. */
  async #takePage({ connection, scope, signal }: PageRequest, page: SharedPage): Promise<RenderedListing | null> {
    const { freshness, clock } = this.#options
    const stored = decodeStoredPage(page.bytes)
    if (stored?.coverage == null) return stored && RenderedListing.fromBytes(stored.body)
    if (freshness === null) return null
    const startedAt = new Moment(clock, page.ageMs)
    const source = this.#toSource(connection)
    const coverage = await freshness.take(source, scope.folderId, stored.coverage, startedAt, signal)
    return coverage && RenderedListing.fromBytes(stored.body, coverage)
  }

  /** Fetches a page from the provider, and counts the outcome. */
  async #fetchPage(request: PageRequest): Promise<RenderedListing> {
    const { clock, metrics, openConnection, cursors, freshness } = this.#options
    const { connection, scope, cursor, signal } = request
    const { folderId, parameters } = scope
    const startedAt = clock.now()
    const recordOutcome = (outcome: LoadOutcome): void => {
      metrics.listingLoaded(connection.provider, (clock.now() - startedAt) / 1000, outcome)
    }
    try {
      const backend = await openConnection(await this.#withCredentials(connection))
      const list = (): Promise<EntryPage> =>
        backend.listFolder(folderId, { ...parameters, signal, ...(cursor !== undefined && { cursor }) })
      const { page, coverage } =
        freshness === null
          ? { page: await list(), coverage: null }
          : await freshness.load({ ...this.#toSource(connection), backend }, folderId, list, signal)
      const listing = composeListing(connection, page, cursor === undefined, cursors, scope)
      const rendered = RenderedListing.fromListing(listing, coverage)
      recordOutcome('ok')
      return rendered
    } catch (error) {
      // Not counted: no page was requested from the provider, or no caller waits any more.
      if (!(error instanceof ConnectionChangedError) && !signal.aborted) recordOutcome(outcomeOf(error))
      throw error
    }
  }

  /** The feeds of a connection outlive the request, and must not hold its credentials. */
  #toSource(connection: Connection | SealedConnection): Pick<FeedSource, 'connection' | 'open'> {
    const { leases, openConnection, findOpen } = this.#options
    const listed = withoutCredentials(connection)
    const { userId, provider, id } = listed
    const open = async (): Promise<StorageBackend> => {
      const leased = leases.findLeased({ userId, provider, connectionId: id })
      if (leased !== undefined && !isUnchanged(leased, listed)) throw new ConnectionChangedError()
      // A check discloses nothing: what it confirms is served only while the connection is leased.
      const opened = leased && findOpen(leased)
      return opened ?? (await openConnection(await this.#withCredentials(listed)))
    }
    return { connection: listed, open }
  }

  /** Returns the sealed row. A row read for this request is not read again: a cache miss costs one query. */
  async #withCredentials(connection: Connection | SealedConnection): Promise<SealedConnection> {
    if ('sealedCredentials' in connection) return connection
    const sealed = await this.#options.leases.findSealed(connection.userId, connection.id)
    if (sealed === null || !isUnchanged(sealed, connection)) throw new ConnectionChangedError()
    return sealed
  }
}

/** Rejects ids that the provider cannot have issued, so that nothing is cached for them. @throws StorageError */
function checkFolderId(provider: FolderIdRules, { folderId }: ListFolderRequest): void {
  if (folderId !== null) provider.checkFolderId?.(folderId)
}

function scopeOf({ userId, folderId, parameters }: ListFolderRequest, { id }: Connection): CursorScope {
  return { userId, connectionId: id, folderId, parameters }
}

/**
 * Returns the folder as invalidations name it: in NFC, since they use the provider's form and the request may use
 * another one. {@link listingKey} distinguishes the forms.
 */
function folderOf({ userId, folderId }: ListFolderRequest, { id, provider }: Connection): SharedFolderKey {
  return { userId, provider, folderId: folderId?.normalize('NFC') ?? null, connectionId: id }
}

/** Converts a page of the provider to the route's response. */
function composeListing(
  connection: Connection,
  page: EntryPage,
  isFirstPage: boolean,
  cursors: Cursors,
  scope: CursorScope
): Listing {
  const isSinglePage = isFirstPage && page.next === null
  const next = page.next === null ? null : cursors.seal(page.next, scope)
  const isTruncated = page.next !== null && next === null
  return {
    provider: connection.provider,
    connectionId: connection.id,
    folder: page.folder,
    entries: isSinglePage ? sortFoldersFirst(page.entries) : page.entries,
    page: {
      next,
      complete: page.complete,
      reason: isTruncated ? 'page-cap' : page.reason,
      order: isSinglePage ? 'folder-then-name' : 'provider'
    }
  }
}

// One collation for all instances, whatever their locale: equal content must have an equal ETag.
const nameCollator = new Intl.Collator('en', { numeric: true })

function sortFoldersFirst(entries: readonly Entry[]): Entry[] {
  const isFolder = ({ kind }: Entry): boolean => kind === 'folder' || kind === 'drive'
  const others = entries.filter((entry) => !isFolder(entry))
  return [...entries.filter(isFolder).sort(byName), ...others.sort(byName)]
}

function byName(a: Entry, b: Entry): number {
  return nameCollator.compare(a.name, b.name) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
