import { type Connection, requireActive, type SealedConnection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import type { ConnectionLeases } from '../domain/ports.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { composeListing } from './compose-listing.ts'
import type { Cursors, CursorScope } from './cursor.ts'
import type { FolderCache, FolderCacheStatus } from './folder-cache.ts'
import type { FolderKey } from './folder-key.ts'
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

export interface ListFolderAnswer {
  readonly listing: RenderedListing
  readonly status: FolderCacheStatus
}

export interface ListFolderPorts {
  readonly leases: ConnectionLeases
  readonly cache: FolderCache
  readonly cursors: Cursors
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
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
export function createListFolder({ leases, cache, cursors, open }: ListFolderPorts): ListFolder {
  return async (request) => {
    const { userId, folderId, limit, kind, signal } = request
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const connection = requireActive(believedConnection(leases, request) ?? (await findConnection(leases, request)))
      const scope: CursorScope = { userId, connectionId: connection.id, folderId, limit, kind }
      const cursor = request.cursor === undefined ? undefined : cursors.open(request.cursor, scope)
      const key = listingKey(connection, scope, cursor)
      if (request.refresh && attempt === 0) cache.invalidateFolder(key)

      const load = async (loadSignal: AbortSignal): Promise<RenderedListing> => {
        const sealed = await leases.findSealed(userId, connection.id)
        if (sealed === null || !isUnchanged(sealed, connection)) throw new ConnectionChanged()
        const backend = await open(sealed)
        const page = await backend.listFolder(folderId, {
          limit,
          signal: loadSignal,
          ...(cursor !== undefined && { cursor }),
          ...(kind !== undefined && { kind })
        })
        return new RenderedListing(composeListing(connection, page, cursor === undefined, cursors, scope))
      }

      const status: FolderCacheStatus = {}
      let listing: RenderedListing
      try {
        listing = await cache.getOrFetch(key, load, { signal, status })
      } catch (error) {
        if (error instanceof ConnectionChanged) continue
        throw error
      }
      // Looked at in this very turn of the event loop.
      if (status.outcome === 'hit') return { listing, status }
      const now = leases.believed(userId, connection.id) ?? (await leases.find(userId, connection.id))
      if (now !== null && isUnchanged(now, connection)) return { listing, status }
    }
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed.')
  }
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

function isUnchanged(now: Connection, before: Connection): boolean {
  return now.version === before.version && now.status === 'ACTIVE'
}

/** The connection's version is part of the key: what was listed before a change is never found after it. */
function listingKey(connection: Connection, scope: CursorScope, cursor: string | undefined): FolderKey {
  return {
    userId: scope.userId,
    provider: connection.provider,
    folderId: scope.folderId,
    connectionId: connection.id,
    variant: JSON.stringify([connection.version, scope.limit, scope.kind ?? null, cursor ?? null])
  }
}
