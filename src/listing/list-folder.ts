import { type Connection, requireActive, type SealedConnection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import { type LoadOutcome, type Metrics, outcomeOf } from '../domain/metrics.ts'
import type { Clock, ConnectionLeases } from '../domain/ports.ts'
import type { SharedTier } from '../domain/shared-tier.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { composeListing } from './compose-listing.ts'
import type { Cursors, CursorScope } from './cursor.ts'
import type { FolderCache } from './folder-cache.ts'
import type { FolderCacheStatus } from './folder-cache-options.ts'
import { type FolderKey, folderKeyText } from './folder-key.ts'
import { RenderedListing } from './rendered-listing.ts'

export interface ListFolderRequest {
  readonly userId: string
  readonly provider: string
  /** `null`: the root. */
  readonly folderId: string | null
  /** Left out: the user's only connection to the provider, or the default one. */
  readonly connectionId: string | undefined
  readonly cursor: string | undefined
  readonly limit: number
  readonly kind: 'folder' | 'file' | undefined
  /** Drop what is kept of this folder, and load anew. */
  readonly refresh: boolean
  readonly signal: AbortSignal
}

export interface ListingStatus extends FolderCacheStatus {
  /** Another process had loaded it, or was just loading it. */
  isShared?: boolean
}

export interface ListFolderAnswer {
  readonly listing: RenderedListing
  readonly status: ListingStatus
}

export interface ListFolderPorts {
  readonly leases: ConnectionLeases
  readonly cache: FolderCache
  readonly cursors: Cursors
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  /** What all processes keep together, where the host has it. */
  readonly shared: SharedTier | null
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'listingLoaded'>
}

export type ListFolder = (request: ListFolderRequest) => Promise<ListFolderAnswer>

/** A connection that changes again and again while it is listed is given up after so many tries. */
const ATTEMPTS = 3

/** What a load ends with when the connection is not what it was when the load was asked for. */
class ConnectionChanged extends Error {}

/**
 * Lists a folder through the cache. What a connection may show is believed for a lease, and that is looked at before
 * the cache is asked and, where something was loaded or waited for, once more right before the answer is given. A hit
 * inside of a lease costs no query.
 */
export function createListFolder(ports: ListFolderPorts): ListFolder {
  const { leases, cache, cursors, shared } = ports
  return async (request) => {
    const { userId, folderId, limit, kind, signal } = request
    let refreshed: string | undefined
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const connection = requireActive(believedConnection(leases, request) ?? (await findConnection(leases, request)))
      const scope: CursorScope = { userId, connectionId: connection.id, folderId, limit, kind }
      const cursor = request.cursor === undefined ? undefined : cursors.open(request.cursor, scope)
      const folder = { userId, provider: connection.provider, folderId, connectionId: connection.id }
      // Once for each connection that turns out to be meant.
      if (request.refresh && refreshed !== connection.id) cache.invalidateFolder(folder)
      refreshed = connection.id
      const told = shared === null ? null : shared.generation(folder)
      const generation = told instanceof Promise ? await told : told
      const key: FolderKey = { ...folder, variant: variantOf(connection, scope, cursor, generation) }

      const status: ListingStatus = {}
      let listing: RenderedListing
      try {
        listing = await cache.getOrFetch(
          key,
          async (loadSignal, aged) => {
            const loaded = await load(ports, { connection, scope, cursor, key, signal: loadSignal })
            if (loaded.ageMs !== null) {
              aged(loaded.ageMs)
              status.isShared = true
            }
            return loaded.listing
          },
          { signal, status }
        )
      } catch (error) {
        if (error instanceof ConnectionChanged) continue
        throw error
      }
      // Looked at in this very turn of the event loop, unless the tier had to be asked meanwhile.
      if (status.outcome === 'hit' && !(told instanceof Promise)) return { listing, status }
      const now = leases.believed(userId, connection.id) ?? (await leases.find(userId, connection.id))
      if (now !== null && isUnchanged(now, connection)) return { listing, status }
    }
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed.')
  }
}

interface LoadRequest {
  readonly connection: Connection
  readonly scope: CursorScope
  readonly cursor: string | undefined
  readonly key: FolderKey
  readonly signal: AbortSignal
}

interface Loaded {
  readonly listing: RenderedListing
  /** `null`: this process has asked the provider itself. */
  readonly ageMs: number | null
}

async function load(ports: ListFolderPorts, request: LoadRequest): Promise<Loaded> {
  const { shared } = ports
  if (shared === null) return { listing: await loadUpstream(ports, request), ageMs: null }
  let own: RenderedListing | undefined
  const page = await shared.page(
    folderKeyText(request.key),
    async () => {
      own = await loadUpstream(ports, request)
      return own.bytes
    },
    request.signal
  )
  if (own !== undefined) return { listing: own, ageMs: null }
  return { listing: new RenderedListing(page.bytes), ageMs: page.ageMs }
}

async function loadUpstream(ports: ListFolderPorts, request: LoadRequest): Promise<RenderedListing> {
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
    // Nothing was loaded, or nobody waits for it any more.
    if (!(error instanceof ConnectionChanged) && !request.signal.aborted) count(outcomeOf(error))
    throw error
  }
}

async function askProvider(ports: ListFolderPorts, request: LoadRequest): Promise<RenderedListing> {
  const { leases, open, cursors } = ports
  const { connection, scope, cursor, signal } = request
  const { userId, folderId, limit, kind } = scope
  const sealed = await leases.findSealed(userId, connection.id)
  if (sealed === null || !isUnchanged(sealed, connection)) throw new ConnectionChanged()
  const backend = await open(sealed)
  const page = await backend.listFolder(folderId, {
    limit,
    signal,
    ...(cursor !== undefined && { cursor }),
    ...(kind !== undefined && { kind })
  })
  return RenderedListing.of(composeListing(connection, page, cursor === undefined, cursors, scope))
}

function believedConnection(leases: ConnectionLeases, request: ListFolderRequest): Connection | undefined {
  const { userId, provider, connectionId } = request
  if (connectionId === undefined) return leases.believedChoice(userId, provider)
  const connection = leases.believed(userId, connectionId)
  return connection?.provider === provider ? connection : undefined
}

async function findConnection(leases: ConnectionLeases, request: ListFolderRequest): Promise<Connection> {
  const { userId, provider, connectionId } = request
  if (connectionId === undefined) return await leases.choose(userId, provider)
  const connection = await leases.find(userId, connectionId)
  if (connection?.provider !== provider) {
    throw new StorageError('CONNECTION_NOT_FOUND', 'There is no such connection.')
  }
  return connection
}

/** A row that was removed and is there again, as after a restore, begins with the first version once more. */
function isSameVersion(a: Connection, b: Connection): boolean {
  return a.version === b.version && a.connectedAt.getTime() === b.connectedAt.getTime()
}

function isUnchanged(now: Connection, before: Connection): boolean {
  return isSameVersion(now, before) && now.status === 'ACTIVE'
}

/**
 * What of a folder's listing it is. The connection's version is a part: what was listed before a change is never found
 * after it. So is the generation that all processes share.
 */
function variantOf(
  { version, connectedAt }: Connection,
  { limit, kind }: CursorScope,
  cursor: string | undefined,
  generation: string | null
): string {
  return JSON.stringify([version, connectedAt.getTime(), limit, kind ?? null, cursor ?? null, generation])
}
