import type { Connection } from '../domain/connection.ts'
import type { Entry } from '../domain/entry.ts'
import type { FolderAliases } from './folder-aliases.ts'

/** A change that affects more folders, such as one below a very deep path, invalidates the whole connection. */
const MAX_FOLDERS = 64

/** The cache of listings, as far as a change goes. Loads in flight are overtaken by it. */
export interface KeptListings {
  invalidateFolder(folder: { userId: string; provider: string; folderId: string | null; connectionId: string }): unknown
  invalidateConnection(connectionId: string): unknown
}

/** What one change touches, as far as it is known. */
export class Touched {
  /** The provider was asked to change something: from here on, a failure may have changed it all the same. */
  isBegun = false
  #isKnown = true
  readonly #folders = new Set<string>()

  get isKnown(): boolean {
    return this.#isKnown
  }

  get folders(): ReadonlySet<string> {
    return this.#folders
  }

  /** A folder as the client named it. `null`: the root, whose listing is dropped in any case. */
  addFolder(folderId: string | null): void {
    if (folderId !== null) this.#add(folderId)
  }

  /**
   * Where something is, as the provider tells it.
   *
   * @param isInKnownFolder its folder was added already: if it does not tell one, it is that
   */
  addEntry({ id, parentId, path }: Entry, { isInKnownFolder }: { readonly isInKnownFolder: boolean }): void {
    this.#add(id)
    if (parentId !== null) this.#add(parentId)
    // `null` is what the root is called without an id, as where ids are paths, and what nobody knows too.
    else if (!isInKnownFolder && path !== id) this.#isKnown = false
  }

  /** Something was changed that is in nobody knows which folder. */
  addUnknown(): void {
    this.#isKnown = false
  }

  /** Where ids are paths, folders come and go with their content; elsewhere there is no folder of such an id. */
  #add(id: string): void {
    if (!this.#isKnown) return
    this.#folders.add(id)
    for (const folder of foldersAbove(id)) {
      this.#folders.add(folder)
      if (this.#folders.size > MAX_FOLDERS) break
    }
    if (this.#folders.size <= MAX_FOLDERS) return
    this.#isKnown = false
    this.#folders.clear()
  }
}

/**
 * Drops the listings that a change has made old: of each folder under all of its names. The root's too, since its own
 * id and none mean the same, and nobody else knows.
 */
export class TouchedListings {
  readonly #kept: KeptListings
  readonly #aliases: FolderAliases

  constructor(kept: KeptListings, aliases: FolderAliases) {
    this.#kept = kept
    this.#aliases = aliases
  }

  drop({ id, userId, provider }: Connection, touched: Touched): void {
    const folders = touched.isKnown ? this.#withAliases(id, touched.folders) : null
    if (folders === null) {
      this.#kept.invalidateConnection(id)
      return
    }
    for (const folderId of folders) {
      this.#kept.invalidateFolder({ userId, provider, folderId, connectionId: id })
    }
  }

  /** Every id of these folders, and the root; `null` where they are not all known, or too many. */
  #withAliases(connectionId: string, folders: ReadonlySet<string>): ReadonlySet<string | null> | null {
    const all = new Set<string | null>([null, ...folders])
    for (const folder of folders) {
      const aliases = this.#aliases.of(connectionId, folder)
      if (aliases === null) return null
      for (const alias of aliases) all.add(alias)
      if (all.size > 2 * MAX_FOLDERS) return null
    }
    return all
  }
}

/** `a/` and `a/b/` of `a/b/c`. */
function* foldersAbove(path: string): Generator<string> {
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) yield path.slice(0, at + 1)
}
