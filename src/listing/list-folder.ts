import { type Connection, requireActive, type SealedConnection } from '../core/connection.ts'
import { StorageError } from '../errors.ts'
import { Moment } from '../core/time.ts'
import type { ConnectionLeases } from '../core/stores.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import type { SharedFolderKey } from '../cache/shared-tier.ts'
import type { CursorScope } from './keys.ts'
import type { FolderCache } from '../cache/folder-cache.ts'
import type { FolderCacheStatus } from '../cache/types.ts'
import type { FolderKey } from '../cache/types.ts'
import { isUnchanged, listingKey } from './keys.ts'
import { ConnectionChangedError, loadPage, type LoadPorts } from './load-page.ts'
import type { ReadAhead } from './read-ahead.ts'
import { RenderedListing } from './rendered-listing.ts'

export interface ListFolderRequest {
  readonly userId: string
  readonly provider: string
  /** `null`: the root. */
  readonly folderId: string | null
  /** Default: the user's only connection to the provider, or the default one. */
  readonly connectionId: string | undefined
  readonly cursor: string | undefined
  readonly limit: number
  readonly kind: 'folder' | 'file' | undefined
  /** Drop the cached pages of this folder, and load again. */
  readonly refresh: boolean
}

export interface ListingStatus extends FolderCacheStatus {
  /** Another process had loaded the page, or was loading it. */
  isShared?: boolean
}

export interface ListFolderResult {
  readonly listing: RenderedListing
  readonly status: ListingStatus
  /** The key of the cache entry. */
  readonly key: FolderKey
}

type FolderIdRules = Pick<ProviderDefinition, 'checkFolderId'>

export interface ListFolderPorts extends LoadPorts {
  readonly leases: ConnectionLeases
  readonly cache: FolderCache
  readonly providers: {
    /** Returns `undefined` until the provider's module has been imported. */
    readonly loaded: (id: string) => FolderIdRules | undefined
    readonly load: (id: string) => Promise<FolderIdRules>
  }
  /** `null`: read-ahead is disabled. */
  readonly readAhead: ReadAhead | null
}

export interface ListFolder {
  /** Returns the cached listing of a leased connection synchronously; `undefined` if it takes a `load`. */
  getCached(request: ListFolderRequest): ListFolderResult | undefined
  load(request: ListFolderRequest, signal: AbortSignal): Promise<ListFolderResult>
}

/** Attempts to list through a connection that keeps changing meanwhile. */
const MAX_ATTEMPTS = 3

/**
 * Lists a folder through the cache. The connection's lease is checked before the cache is read and, if anything was
 * loaded or awaited, again right before the response. A hit within a lease costs no query.
 */
export function createListFolder(ports: ListFolderPorts): ListFolder {
  const { leases, cache, cursors, shared, readAhead, providers } = ports

  /** Loads the next page ahead if the reader reached this page by a cursor. Returns `answer`. */
  function withReadAhead(
    request: ListFolderRequest,
    connection: Connection | SealedConnection,
    generation: string | null,
    result: ListFolderResult
  ): ListFolderResult {
    const { listing } = result
    const { next } = listing
    if (readAhead === null || request.cursor === undefined || next === null) return result
    const scope = scopeOf(request, connection)
    const nextKey = listingKey(folderOf(request, connection), connection, request, next, generation)
    readAhead.begin(listing, nextKey, async (signal, reportAge) => {
      const cursor = cursors.open(next, scope)
      const page = await loadPage(ports, { connection, scope, cursor, key: nextKey, signal })
      if (page.ageMs !== null) reportAge(page.ageMs)
      return page.listing
    })
    return result
  }

  return {
    getCached(request) {
      if (request.refresh) return undefined
      const now = new Moment(ports.clock)
      const connection = leasedConnection(leases, request, now)
      if (connection === undefined) return undefined
      const folder = folderOf(request, connection)
      if (shared !== null) {
        const provider = providers.loaded(request.provider)
        if (provider === undefined) return undefined
        checkFolderId(provider, request)
      }
      const generation = shared === null ? null : shared.getGeneration(folder)
      if (generation instanceof Promise) return undefined
      const key = listingKey(folder, connection, request, request.cursor, generation)
      const found = cache.lookUp(key, now)
      if (!(found?.value instanceof RenderedListing)) return undefined
      const status: ListingStatus = { outcome: 'hit', ageMs: found.ageMs, ttlMs: found.ttlMs, stored: true }
      return withReadAhead(request, connection, generation, { listing: found.value, status, key })
    },

    async load(request, signal) {
      const { userId } = request
      let refreshedId: string | undefined
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
        const connection = requireActive(leasedConnection(leases, request) ?? (await findConnection(leases, request)))
        const loadedProvider = providers.loaded(request.provider)
        checkFolderId(loadedProvider ?? (await providers.load(request.provider)), request)
        const scope = scopeOf(request, connection)
        const cursor = request.cursor === undefined ? undefined : cursors.open(request.cursor, scope)
        const folder = folderOf(request, connection)
        // Once per connection: another attempt may choose another one.
        if (request.refresh && refreshedId !== connection.id) cache.invalidateFolder(folder)
        refreshedId = connection.id
        const generationOrPromise = shared === null ? null : shared.getGeneration(folder)
        const generation = generationOrPromise instanceof Promise ? await generationOrPromise : generationOrPromise
        const key = listingKey(folder, connection, request, request.cursor, generation)

        const status: ListingStatus = {}
        let listing: RenderedListing
        try {
          listing = await cache.getOrFetch(
            key,
            async (loadSignal, reportAge) => {
              const page = await loadPage(ports, { connection, scope, cursor, key, signal: loadSignal })
              if (page.ageMs !== null) {
                reportAge(page.ageMs)
                status.isShared = true
              }
              return page.listing
            },
            { signal, status }
          )
        } catch (error) {
          if (error instanceof ConnectionChangedError) continue
          throw error
        }
        const result = { listing, status, key }
        // The connection was checked in this turn of the event loop, unless something was awaited since.
        const hasWaited = loadedProvider === undefined || generationOrPromise instanceof Promise
        if (status.outcome === 'hit' && !hasWaited) {
          return withReadAhead(request, connection, generation, result)
        }
        const current = leases.leased(userId, connection.id) ?? (await leases.find(userId, connection.id))
        if (current !== null && isUnchanged(current, connection))
          return withReadAhead(request, current, generation, result)
      }
      throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.').about({
        provider: request.provider,
        connectionId: refreshedId
      })
    }
  }
}

/** Rejects ids that the provider cannot have issued, so that nothing is cached for them. @throws StorageError */
function checkFolderId(provider: FolderIdRules, { folderId }: ListFolderRequest): void {
  if (folderId !== null) provider.checkFolderId?.(folderId)
}

function scopeOf({ userId, folderId, limit, kind }: ListFolderRequest, { id }: Connection): CursorScope {
  return { userId, connectionId: id, folderId, limit, kind }
}

/**
 * Returns the folder as invalidations name it: in NFC, since they use the provider's form and the request may use
 * another one. {@link listingKey} distinguishes the forms.
 */
function folderOf({ userId, folderId }: ListFolderRequest, { id, provider }: Connection): SharedFolderKey {
  return { userId, provider, folderId: folderId?.normalize('NFC') ?? null, connectionId: id }
}

function leasedConnection(
  leases: ConnectionLeases,
  { userId, provider, connectionId }: ListFolderRequest,
  now?: Moment
): Connection | undefined {
  if (connectionId === undefined) return leases.leasedDefault(userId, provider, now)
  const connection = leases.leased(userId, connectionId, now)
  return connection?.provider === provider ? connection : undefined
}

async function findConnection(
  leases: ConnectionLeases,
  { userId, provider, connectionId }: ListFolderRequest
): Promise<Connection | SealedConnection> {
  if (connectionId === undefined) return await leases.choose(userId, provider)
  const connection = await leases.find(userId, connectionId)
  if (connection?.provider !== provider) {
    throw new StorageError('CONNECTION_NOT_FOUND')
  }
  return connection
}
