import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../domain/storage-backend.ts'

/** Limit per connection, in bytes. Beyond it every change invalidates all listings of the connection. */
const MAX_BYTES_PER_CONNECTION = 64 * 1024
/** Limit for all connections. Evicting a connection's aliases invalidates its listings. */
const MAX_BYTES = 16 * 1024 * 1024
/** Size of an alias in addition to its text. */
const ALIAS_BYTES = 200

interface Aliases {
  /** The other ids by the folder's own id; `null` if there are too many. */
  readonly byFolder: ReadonlyMap<string, readonly string[]> | null
  readonly bytes: number
}

const NONE: Aliases = { byFolder: new Map(), bytes: ALIAS_BYTES }

/**
 * The other ids under which this process has listed a folder: the id of a shortcut to it, or the provider's own id of
 * the root. A listing is cached under the id of its request, but a change names the folder by only one of its ids.
 */
export class FolderAliases {
  readonly #connections: LRUCache<string, Aliases>

  /** @param onForgotten called when a connection's aliases are evicted: its listings must be dropped */
  constructor(onForgotten: (connectionId: string) => void) {
    this.#connections = new LRUCache({
      maxSize: MAX_BYTES,
      sizeCalculation: ({ bytes }) => bytes,
      dispose: (_aliases, connectionId, reason) => {
        if (reason === 'evict') onForgotten(connectionId)
      }
    })
  }

  /** Wraps a backend so that aliases are learned from its listings. */
  learning(backend: StorageBackend, connectionId: string): StorageBackend {
    return {
      ...backend,
      listFolder: async (folderId, call) => {
        const page = await backend.listFolder(folderId, call)
        const { id } = page.folder
        if (id !== null && folderId !== null && id !== folderId) this.#learn(connectionId, id, folderId)
        return page
      }
    }
  }

  /** Returns a folder's other ids by its own id; `null` if the connection has too many. */
  of(connectionId: string, folderId: string): readonly string[] | null {
    const aliases = this.#connections.get(connectionId)
    if (aliases?.byFolder === null) return null
    return aliases?.byFolder.get(folderId) ?? []
  }

  #learn(connectionId: string, folderId: string, alias: string): void {
    const { byFolder, bytes } = this.#connections.get(connectionId) ?? NONE
    if (byFolder === null) return
    const known = byFolder.get(folderId) ?? []
    if (known.includes(alias)) return
    const larger = bytes + ALIAS_BYTES + 2 * (alias.length + (known.length === 0 ? folderId.length : 0))
    this.#connections.set(
      connectionId,
      larger > MAX_BYTES_PER_CONNECTION
        ? { byFolder: null, bytes: ALIAS_BYTES }
        : { byFolder: new Map(byFolder).set(folderId, [...known, alias]), bytes: larger }
    )
  }
}
