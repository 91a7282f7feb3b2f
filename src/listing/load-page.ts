import type { SharedTier } from '../cache/shared-tier.ts'
import { type FolderKey, folderKeyToString } from '../cache/types.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { Connection, SealedConnection } from '../core/connection.ts'
import type { Entry, EntryPage, Listing } from '../core/entry.ts'
import type { ConnectionLeases } from '../core/stores.ts'
import { type LoadOutcome, type Metrics, outcomeOf } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import { type Cursors, type CursorScope, isUnchanged } from './keys.ts'
import { RenderedListing } from './rendered-listing.ts'

export interface LoadPorts {
  readonly leases: Pick<ConnectionLeases, 'findSealed'>
  readonly cursors: Cursors
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  /** The cache shared by all processes, if the host application has configured one. */
  readonly shared: SharedTier | null
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'listingLoaded'>
}

export interface PageRequest {
  /** The row read for this request, with its sealed credentials; or the leased connection. */
  readonly connection: Connection | SealedConnection
  readonly scope: CursorScope
  /** The provider's cursor. */
  readonly cursor: string | undefined
  readonly key: FolderKey
  readonly signal: AbortSignal
}

export interface LoadedPage {
  readonly listing: RenderedListing
  /** Milliseconds since another process loaded the page; `null`: this process has loaded it. */
  readonly ageMs: number | null
}

/** Ends a load if the connection has changed since the request. */
export class ConnectionChangedError extends Error {}

/** Loads a page from the shared cache, or else from the provider. @throws ConnectionChanged */
export async function loadPage(ports: LoadPorts, request: PageRequest): Promise<LoadedPage> {
  const { shared } = ports
  if (shared === null) return { listing: await loadUpstream(ports, request), ageMs: null }
  let localListing: RenderedListing | undefined
  const page = await shared.getOrLoad(
    request.key.userId,
    folderKeyToString(request.key),
    async () => {
      localListing = await loadUpstream(ports, request)
      return localListing.identity.bytes
    },
    request.signal
  )
  if (localListing !== undefined) return { listing: localListing, ageMs: null }
  return { listing: RenderedListing.fromBytes(page.bytes), ageMs: page.ageMs }
}

async function loadUpstream(ports: LoadPorts, request: PageRequest): Promise<RenderedListing> {
  const { clock, metrics } = ports
  const { provider } = request.connection
  const startedAt = clock.now()
  const recordOutcome = (outcome: LoadOutcome): void => {
    metrics.listingLoaded(provider, (clock.now() - startedAt) / 1000, outcome)
  }
  try {
    const listing = await fetchFromProvider(ports, request)
    recordOutcome('ok')
    return listing
  } catch (error) {
    // Not counted: no page was requested from the provider, or no caller waits any more.
    if (!(error instanceof ConnectionChangedError) && !request.signal.aborted) recordOutcome(outcomeOf(error))
    throw error
  }
}

async function fetchFromProvider(ports: LoadPorts, request: PageRequest): Promise<RenderedListing> {
  const { connection, scope, cursor, signal } = request
  const { folderId, limit, kind } = scope
  const backend = await ports.open(await getSealedConnection(ports, request))
  const page = await backend.listFolder(folderId, {
    limit,
    signal,
    ...(cursor !== undefined && { cursor }),
    ...(kind !== undefined && { kind })
  })
  return RenderedListing.fromListing(composeListing(connection, page, cursor === undefined, ports.cursors, scope))
}

/** Returns the sealed row. A row read for this request is not read again: a cache miss costs one query. */
async function getSealedConnection({ leases }: LoadPorts, { connection }: PageRequest): Promise<SealedConnection> {
  if ('sealedCredentials' in connection) return connection
  const sealed = await leases.findSealed(connection.userId, connection.id)
  if (sealed === null || !isUnchanged(sealed, connection)) throw new ConnectionChangedError()
  return sealed
}

/** Converts a page of the provider to the route's response. `first`: the page is the first one of its folder. */
export function composeListing(
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
    entries: isSinglePage ? page.entries.toSorted(folderThenName) : page.entries,
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

function folderThenName(a: Entry, b: Entry): number {
  return rank(a) - rank(b) || nameCollator.compare(a.name, b.name) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

function rank(entry: Entry): number {
  return entry.kind === 'folder' || entry.kind === 'drive' ? 0 : 1
}
