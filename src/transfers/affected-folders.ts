import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import type { Connection } from '../core/connection.ts'
import type { Entry } from '../core/entry.ts'

/** A change that affects more folders, such as one below a very deep path, invalidates the whole connection. */
const MAX_FOLDERS = 64

/** Invalidates cached listings, and loads in flight. */
export interface ListingCache {
  invalidateFolder(folder: { userId: string; provider: string; folderId: string | null; connectionId: string }): unknown
  invalidateConnection(connectionId: string): unknown
}

/** The folders that a change affects, as far as known. */
export class AffectedFolders {
  /** The provider was called: from here on, a failed change may have happened nevertheless. */
  isStarted = false
  #isKnown = true
  readonly #folders = new Set<string>()

  get isKnown(): boolean {
    return this.#isKnown
  }

  get folders(): ReadonlySet<string> {
    return this.#folders
  }

  /** Adds a folder as the client named it. `null`: the root; its listing is always dropped. */
  addFolder(folderId: string | null): void {
    if (folderId !== null) this.#add(folderId)
  }

  /**
   * Adds the location of an entry, as reported by the provider.
   *
   * @param isInKnownFolder its folder was already added, and is its parent if the entry has no `parentId`
   */
  addEntry({ id, parentId, path }: Entry, { isInKnownFolder }: { readonly isInKnownFolder: boolean }): void {
    this.#add(id)
    if (parentId !== null) this.#add(parentId)
    // `null` means the root if ids are paths. Otherwise the parent is unknown.
    else if (!isInKnownFolder && path !== id) this.#isKnown = false
  }

  /** Records a change in an unknown folder. */
  addUnknown(): void {
    this.#isKnown = false
  }

  /** If ids are paths, parent folders appear and disappear with their content. Other providers have no such ids. */
  #add(id: string): void {
    if (!this.#isKnown) return
    this.#folders.add(id)
    for (const folder of ancestorsOf(id)) {
      this.#folders.add(folder)
      if (this.#folders.size > MAX_FOLDERS) break
    }
    if (this.#folders.size <= MAX_FOLDERS) return
    this.#isKnown = false
    this.#folders.clear()
  }
}

/**
 * Drops the listings that a change made stale: of each folder under all its ids, and of the root. The root has its
 * own id besides `null`, and only the provider knows it.
 */
export class ListingInvalidator {
  readonly #cache: ListingCache
  readonly #aliases: FolderAliases

  constructor(cache: ListingCache, aliases: FolderAliases) {
    this.#cache = cache
    this.#aliases = aliases
  }

  invalidate({ id, userId, provider }: Connection, affected: AffectedFolders): void {
    const folders = affected.isKnown ? this.#withAliases(id, affected.folders) : null
    if (folders === null) {
      this.#cache.invalidateConnection(id)
      return
    }
    for (const folderId of folders) {
      this.#cache.invalidateFolder({ userId, provider, folderId, connectionId: id })
    }
  }

  /** Returns all ids of these folders, and the root; `null` if some are unknown, or too many. */
  #withAliases(connectionId: string, folders: ReadonlySet<string>): ReadonlySet<string | null> | null {
    const all = new Set<string | null>([null, ...folders])
    for (const folder of folders) {
      const aliases = this.#aliases.get(connectionId, folder)
      if (aliases === null) return null
      for (const alias of aliases) all.add(alias)
      if (all.size > 2 * MAX_FOLDERS) return null
    }
    return all
  }
}

/** Yields `a/` and `a/b/` for `a/b/c`. */
function* ancestorsOf(path: string): Generator<string> {
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) yield path.slice(0, at + 1)
}

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

const NO_ALIASES: Aliases = { byFolder: new Map(), bytes: ALIAS_BYTES }

/**
 * The other ids under which this process has listed a folder: the id of a shortcut to it, or the provider's own id of
 * the root. A listing is cached under the id of its request, but a change names the folder by only one of its ids.
 */
export class FolderAliases {
  readonly #connections: LRUCache<string, Aliases>

  /** @param onEvicted called when a connection's aliases are evicted: its listings must be dropped */
  constructor(onEvicted: (connectionId: string) => void) {
    this.#connections = new LRUCache({
      maxSize: MAX_BYTES,
      sizeCalculation: ({ bytes }) => bytes,
      dispose: (_aliases, connectionId, reason) => {
        if (reason === 'evict') onEvicted(connectionId)
      }
    })
  }

  /** Wraps a backend so that aliases are learned from its listings. */
  withAliasLearning(backend: StorageBackend, connectionId: string): StorageBackend {
    return {
      ...backend,
      listFolder: async (folderId, call) => {
        const page = await backend.listFolder(folderId, call)
        const { id } = page.folder
        if (id !== null && folderId !== null && id !== folderId) this.#addAlias(connectionId, id, folderId)
        return page
      }
    }
  }

  /** Returns a folder's other ids by its own id; `null` if the connection has too many. */
  get(connectionId: string, folderId: string): readonly string[] | null {
    const aliases = this.#connections.get(connectionId)
    if (aliases?.byFolder === null) return null
    return aliases?.byFolder.get(folderId) ?? []
  }

  #addAlias(connectionId: string, folderId: string, alias: string): void {
    const { byFolder, bytes } = this.#connections.get(connectionId) ?? NO_ALIASES
    if (byFolder === null) return
    const known = byFolder.get(folderId) ?? []
    if (known.includes(alias)) return
    const newBytes = bytes + ALIAS_BYTES + 2 * (alias.length + (known.length === 0 ? folderId.length : 0))
    this.#connections.set(
      connectionId,
      newBytes > MAX_BYTES_PER_CONNECTION
        ? { byFolder: null, bytes: ALIAS_BYTES }
        : { byFolder: new Map(byFolder).set(folderId, [...known, alias]), bytes: newBytes }
    )
  }
}
