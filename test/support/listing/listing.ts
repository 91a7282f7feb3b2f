import type { Connection } from '../../../src/core/connection.ts'
import type { Listing } from '../../../src/core/entry.ts'
import type { PageParameters, StorageBackend } from '../../../src/core/backend.ts'
import type { Metrics } from '../../../src/core/telemetry.ts'
import type { TextSealer } from '../../../src/core/stores.ts'
import type { ProviderDefinition } from '../../../src/core/provider.ts'
import type { InvalidatedScope, SharedTier } from '../../../src/cache/shared-tier.ts'
import { Cursors } from '../../../src/listing/keys.ts'
import { FolderCache } from '../../../src/cache/folder-cache.ts'
import { Freshness, type FreshnessOptions } from '../../../src/freshness/freshness.ts'
import { FolderListings, type ListFolderRequest, type ListFolderResult } from '../../../src/listing/list-folder.ts'
import { ReadAhead } from '../../../src/listing/read-ahead.ts'
import { Leases } from '../../../src/connections/leases.ts'
import { ManualClock } from '../time/clock.ts'
import { MemoryConnections } from '../database/memory-connections.ts'
import { ScriptedBackend } from '../backend/scripted-backend.ts'

/** A sealer that does not encrypt, for tests in which encryption is irrelevant. Counts what it opens. */
export class PlaintextSealer implements TextSealer {
  openCount = 0

  seal(text: string, binding: readonly string[]): string {
    return Buffer.from(JSON.stringify([text, binding])).toString('base64url')
  }

  open(sealed: string, binding: readonly string[]): string | null {
    this.openCount += 1
    try {
      const [text] = JSON.parse(Buffer.from(sealed, 'base64url').toString()) as [string]
      // Like the real sealer, it yields exactly one sealed form for each text and binding.
      return this.seal(text, binding) === sealed ? text : null
    } catch {
      return null
    }
  }
}

export interface ListingOptions {
  /** 0: each request reads the connection. */
  readonly leaseMs?: number
  readonly shared?: SharedTier | null
  readonly clock?: ManualClock
  readonly ttlMs?: number
  readonly maxInFlightPerUser?: number
  readonly hasReadAhead?: boolean
  /** Default: pages are not confirmed. */
  readonly freshness?: Partial<FreshnessOptions>
  /** Called for each invalidation of the cache. */
  readonly onInvalidated?: (scope: InvalidatedScope) => void
  /** The provider's rules for folder IDs. */
  readonly rules?: Pick<ProviderDefinition, 'checkFolderId'>
  /** Default: opens the scripted backend. */
  readonly open?: () => Promise<StorageBackend>
  /** Default: no backend stays open. */
  readonly findOpen?: (connection: Connection) => StorageBackend | undefined
}

/** The use case with in-memory connections and a scripted backend. */
export function createTestListing(options: ListingOptions = {}) {
  const {
    leaseMs = 0,
    shared = null,
    clock = new ManualClock(),
    ttlMs = 60_000,
    maxInFlightPerUser = 32,
    hasReadAhead = true,
    rules = {}
  } = options
  const connections = new MemoryConnections()
  const leases = new Leases({ connections, changeLog: connections, leaseMs, clock, maxUsers: 100 })
  const backend = new ScriptedBackend()
  const loads: Parameters<Metrics['listingLoaded']>[] = []
  const sealer = new PlaintextSealer()
  const cache = new FolderCache({
    max: 100,
    ttlMs,
    maxBytes: 1 << 20,
    maxInFlightPerUser,
    clock,
    sizeOf: () => 1,
    validityOf: (value) => Freshness.validityOf(value),
    onInvalidated: (scope) => {
      shared?.invalidate(scope)
      options.onInvalidated?.(scope)
    }
  })
  const checks: Parameters<Metrics['checked']>[] = []
  const counts = { droppedByFeed: 0, uncovered: 0 }
  const freshness =
    options.freshness === undefined
      ? null
      : new Freshness({
          cache,
          clock,
          metrics: {
            checked: (...check) => checks.push(check),
            pagesDroppedByFeed: (_provider, count) => (counts.droppedByFeed += count),
            pageUncovered: () => (counts.uncovered += 1)
          },
          checkMsOf: () => 15_000,
          settleMsOf: () => 0,
          coveredTtlMs: 3_600_000,
          staleIfErrorMs: 0,
          maxConnections: 100,
          ...options.freshness
        })
  const readAhead = new ReadAhead(cache)
  const listings = new FolderListings({
    leases,
    cache,
    shared,
    readAhead: hasReadAhead ? readAhead : null,
    freshness,
    clock,
    providers: { getLoaded: () => rules, load: () => Promise.resolve(rules) },
    metrics: { listingLoaded: (...load) => loads.push(load) },
    cursors: new Cursors(sealer),
    openConnection: options.open ?? (() => Promise.resolve(backend)),
    findOpen: options.findOpen ?? (() => undefined)
  })
  const cached = (overrides: RequestOverrides = {}, parameters?: string) => {
    const { result } = listings.lookUp(listingRequest(overrides), parameters)
    return result === undefined ? undefined : parseResult(result)
  }
  /** Lists like the route: from the cache, else by loading. */
  const list = async (overrides: RequestOverrides = {}, signal = new AbortController().signal) => {
    const lookup = listings.lookUp(listingRequest(overrides))
    return parseResult(lookup.result ?? (await listings.load(lookup, signal)))
  }
  return {
    clock,
    connections,
    leases,
    listings,
    backend,
    cache,
    sealer,
    loads,
    readAhead,
    freshness,
    checks,
    counts,
    cached,
    list
  }
}

/** A request, whose parameters may be given without nesting. */
export type RequestOverrides = Partial<ListFolderRequest & PageParameters>

function listingRequest({ limit = 200, kind, ...overrides }: RequestOverrides): ListFolderRequest {
  return {
    userId: 'ann',
    provider: 'scripted',
    folderId: null,
    connectionId: undefined,
    cursor: undefined,
    parameters: { limit, ...(kind !== undefined && { kind }) },
    refresh: false,
    ...overrides
  }
}

function parseResult({ listing, status }: ListFolderResult) {
  const { bytes, etag } = listing.identity
  const isCovered = listing.coverage !== null
  return { body: JSON.parse(bytes.toString()) as Listing, etag, status, isCovered }
}
