import type { InvalidatedScope } from '../cache/shared-tier.ts'
import { type Connection, isSameVersion, requireActive, requireFound, withoutCredentials } from '../core/connection.ts'
import { parseFolderId } from '../core/ids.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import { StorageError } from '../errors.ts'
import { ConnectionWatch, ROOT_NAME, type WatchDeps, type WatchListener } from './connection-watch.ts'

/** Streams of all users: each holds a socket and takes part in the checks of its connection. */
const MAX_STREAMS = 1_000
const RETRY_MS = 30_000

export interface FolderWatchesOptions extends Omit<WatchDeps, 'pushes'> {
  readonly providers: { load(id: string): Promise<Pick<ProviderDefinition, 'checkFolderId'>> }
  /** Default 1,000. */
  readonly maxStreams?: number
}

export interface WatchRequest {
  readonly userId: string
  readonly connectionId: string
  /** Ids of folders; `root` is the root. */
  readonly folders: readonly string[]
}

/** A watch that may begin. */
export interface WatchTarget {
  readonly connection: Connection
  readonly folders: readonly string[]
}

/** The folders that clients of this process watch. */
export class FolderWatches {
  readonly #options: FolderWatchesOptions
  /** By id. */
  readonly #connections = new Map<string, ConnectionWatch>()
  readonly #pushes = { count: 0 }
  #count = 0
  #isClosed = false

  constructor(options: FolderWatchesOptions) {
    this.#options = options
  }

  /** The number of clients. */
  get count(): number {
    return this.#count
  }

  /** The number of connections whose folders are watched. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** @throws StorageError `CONNECTION_NOT_FOUND`, `CONNECTION_INACTIVE`, `PROVIDER_UNKNOWN`, `INVALID_REQUEST` and others */
  async select({ userId, connectionId, folders }: WatchRequest): Promise<WatchTarget> {
    const { leases, providers } = this.#options
    const found = requireActive(requireFound(await leases.find(userId, connectionId)))
    const { checkFolderId } = await providers.load(found.provider)
    for (const folder of folders) {
      parseFolderId(folder)
      if (folder !== ROOT_NAME) checkFolderId?.(folder)
    }
    return { connection: withoutCredentials(found), folders }
  }

  /**
   * Begins a watch, in the turn of the event loop in which its target was selected. Returns a function that ends it
   * without a call of `onEnded`.
   *
   * @throws StorageError `TOO_MANY_REQUESTS`, `SHUTTING_DOWN`
   */
  begin({ connection, folders }: WatchTarget, listener: WatchListener): () => void {
    if (this.#isClosed) throw new StorageError('SHUTTING_DOWN')
    if (this.#count >= (this.#options.maxStreams ?? MAX_STREAMS)) {
      throw new StorageError('TOO_MANY_REQUESTS', 'Too many event streams are open.', { retryAfterMs: RETRY_MS })
    }
    let isEnded = false
    const release = (): boolean => {
      if (isEnded) return false
      isEnded = true
      this.#count -= 1
      return true
    }
    const remove = this.#watchOf(connection).add(folders, {
      onChanged: listener.onChanged,
      onEnded: () => {
        if (release()) listener.onEnded()
      }
    })
    this.#count += 1
    return () => {
      if (release()) remove()
    }
  }

  /** Announces folders whose pages were dropped. */
  onInvalidated(scope: InvalidatedScope): void {
    if (this.#connections.size === 0) return
    if (scope.of === 'connection') {
      this.#connections.get(scope.connectionId)?.onInvalidated(undefined)
      return
    }
    for (const watch of this.#connections.values()) {
      const { id, userId, provider } = watch.connection
      if (scope.of !== 'all' && (scope.userId !== userId || scope.provider !== provider)) continue
      if (scope.of !== 'folder') watch.onInvalidated(undefined)
      else if (scope.connectionId === undefined || scope.connectionId === id) watch.onInvalidated(scope.folderId)
    }
  }

  /** Ends the streams of a connection that has changed. */
  end(connectionId: string): void {
    this.#connections.get(connectionId)?.end()
  }

  /** Ends all streams, and begins no more. */
  close(): void {
    this.#isClosed = true
    for (const watch of [...this.#connections.values()]) watch.end()
  }

  #watchOf(connection: Connection): ConnectionWatch {
    const known = this.#connections.get(connection.id)
    if (known !== undefined && isSameVersion(known.connection, connection)) return known
    known?.end()
    const watch: ConnectionWatch = new ConnectionWatch(connection, { ...this.#options, pushes: this.#pushes }, () => {
      if (this.#connections.get(connection.id) === watch) this.#connections.delete(connection.id)
    })
    this.#connections.set(connection.id, watch)
    return watch
  }
}
