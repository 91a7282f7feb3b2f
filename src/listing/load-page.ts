import type { SharedTier } from '../cache/shared-tier.ts'
import { type FolderKey, folderKeyText } from '../cache/types.ts'
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
export class ConnectionChanged extends Error {}

/** Loads a page from the shared cache, or else from the provider. @throws ConnectionChanged */
export async function loadPage(ports: LoadPorts, request: PageRequest): Promise<LoadedPage> {
  const { shared } = ports
  if (shared === null) return { listing: await loadUpstream(ports, request), ageMs: null }
  let own: RenderedListing | undefined
  const page = await shared.page(
    request.key.userId,
    folderKeyText(request.key),
    async () => {
      own = await loadUpstream(ports, request)
      return own.identity.bytes
    },
    request.signal
  )
  if (own !== undefined) return { listing: own, ageMs: null }
  return { listing: RenderedListing.ofBytes(page.bytes), ageMs: page.ageMs }
}

async function loadUpstream(ports: LoadPorts, request: PageRequest): Promise<RenderedListing> {
  const { clock, metrics } = ports
  const { provider } = request.connection
  const startedAt = clock.now()
  const count = (outcome: LoadOutcome): void => {
    metrics.listingLoaded(provider, (clock.now() - startedAt) / 1000, outcome)
  }
  try {
    const listing = await askProvider(ports, request)
    count('ok')
    return listing
  } catch (error) {
    // Not counted: no page was requested from the provider, or no caller waits any more.
    if (!(error instanceof ConnectionChanged) && !request.signal.aborted) count(outcomeOf(error))
    throw error
  }
}

async function askProvider(ports: LoadPorts, request: PageRequest): Promise<RenderedListing> {
  const { connection, scope, cursor, signal } = request
  const { folderId, limit, kind } = scope
  const backend = await ports.open(await sealedNow(ports, request))
  const page = await backend.listFolder(folderId, {
    limit,
    signal,
    ...(cursor !== undefined && { cursor }),
    ...(kind !== undefined && { kind })
  })
  return RenderedListing.of(composeListing(connection, page, cursor === undefined, ports.cursors, scope))
}

/** Returns the sealed row. A row read for this request is not read again: a cache miss costs one query. */
async function sealedNow({ leases }: LoadPorts, { connection }: PageRequest): Promise<SealedConnection> {
  if ('sealedCredentials' in connection) return connection
  const sealed = await leases.findSealed(connection.userId, connection.id)
  if (sealed === null || !isUnchanged(sealed, connection)) throw new ConnectionChanged()
  return sealed
}

/** Converts a page of the provider to the route's response. `first`: the page is the first one of its folder. */
export function composeListing(
  connection: Connection,
  page: EntryPage,
  first: boolean,
  cursors: Cursors,
  scope: CursorScope
): Listing {
  const whole = first && page.next === null
  const next = page.next === null ? null : cursors.seal(page.next, scope)
  const cut = page.next !== null && next === null
  return {
    provider: connection.provider,
    connectionId: connection.id,
    folder: page.folder,
    entries: whole ? page.entries.toSorted(folderThenName) : page.entries,
    page: {
      next,
      complete: page.complete,
      reason: cut ? 'page-cap' : page.reason,
      order: whole ? 'folder-then-name' : 'provider'
    }
  }
}

// One collation for all instances, whatever their locale: equal content must have an equal ETag.
const byName = new Intl.Collator('en', { numeric: true })

function folderThenName(a: Entry, b: Entry): number {
  return rank(a) - rank(b) || byName.compare(a.name, b.name) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

function rank(entry: Entry): number {
  return entry.kind === 'folder' || entry.kind === 'drive' ? 0 : 1
}
