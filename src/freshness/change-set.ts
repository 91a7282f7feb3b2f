import { type Change } from '../core/change-feed.ts'
import type { Moment } from '../core/time.ts'
import {
  comparablePath,
  hashId,
  hashPath,
  hasHash,
  type Fingerprint,
  type PageContent,
  parentOfPath
} from './fingerprint.ts'

/** A page that changes are compared with. */
export interface ComparablePage {
  readonly content: PageContent
  /** The scope that contains the folder; `null` if it is not known. */
  readonly scope: string | null
  readonly hasMark: boolean
}

/** Beyond this, looking up the page's hashes among those of the changes is faster than the reverse. */
const FEW_CHANGES = 32

/**
 * Changes of one scope that were read together, prepared for the comparison with pages. It names a page too many rather
 * than one too few: a page that is named is loaded again.
 */
export class ChangeSet {
  readonly scope: string
  /** When the changes were read. */
  readonly readAt: Moment
  readonly count: number
  /** The content of any page may have changed. */
  isOfEverything = false
  readonly #isUnknownItem: boolean
  readonly #items = new Set<number>()
  readonly #parents = new Set<number>()
  /** Drives, with their scopes, that have appeared, changed or disappeared. */
  readonly #drives = new Set<string>()
  readonly #folders: FolderChange[] = []
  readonly #subtrees: string[] = []
  #isOfRoots = false
  #isInRoot = false

  constructor(scope: string, changes: readonly Change[], readAt: Moment) {
    this.scope = scope
    this.readAt = readAt
    this.count = changes.length
    this.#isUnknownItem = changes.some(isUnknown)
    for (const change of changes) this.#add(change)
  }

  /** Something in the scope has changed that the provider does not name. */
  get isOfUnknownItem(): boolean {
    return this.#isUnknownItem
  }

  /** Returns the changes after which nothing in the connection is known to be current. */
  static ofEverything(scope: string, readAt: Moment): ChangeSet {
    const set = new ChangeSet(scope, [], readAt)
    set.isOfEverything = true
    return set
  }

  /**
   * Resolves the changes of folders, of which the content below may have changed, with the pages that are cached. A
   * provider reports a folder that has moved or disappeared, but none of its descendants.
   */
  resolveFolders(pages: readonly ComparablePage[]): void {
    for (const folder of this.#folders) {
      if (!affectsDescendants(folder, pages)) continue
      if (folder.subtree === null) this.isOfEverything = true
      else this.#subtrees.push(folder.subtree)
    }
  }

  /** Returns true if the page may have changed. A page with a mark is not named by an unknown item: it is doubtful. */
  names(page: ComparablePage): boolean {
    const { content, scope, hasMark } = page
    if (this.isOfEverything) return true
    if (this.#isUnknownItem && !hasMark && (scope === null || scope === this.scope)) return true
    if (this.#isOfRoots && content.isVirtual) return true
    if (this.#isInRoot && content.folderId === null) return true
    if (scope !== null && this.#drives.has(scope)) return true
    // The root has an id that is not known if it is empty.
    if (content.folder.length === 0 && this.#parents.size > 0) return true
    if (intersects(this.#items, content.all) || intersects(this.#parents, content.folder)) return true
    return this.#subtrees.length > 0 && content.folderId !== null && this.#isBelow(content.folderId)
  }

  #add(change: Change): void {
    const { id, path, parentId, isFolder, isGone, concerns } = change
    if (id !== null) this.#items.add(hashId(id))
    if (path !== null) this.#items.add(hashPath(path))
    if (concerns === 'roots') {
      this.#isOfRoots = true
      if (id !== null) this.#drives.add(id)
      return
    }
    if (isUnknown(change)) return
    if (parentId !== null) {
      this.#parents.add(hashId(parentId))
      this.#parents.add(hashPath(parentId))
    } else if (path !== null) {
      const parent = parentOfPath(path)
      if (parent === '') this.#isInRoot = true
      else this.#parents.add(hashPath(parent))
    } else if (!isGone) {
      // An item without a folder is listed in the root, or in a virtual folder.
      this.#isOfRoots = true
    }
    if (isFolder !== false) this.#folders.push(toFolderChange(change))
  }

  #isBelow(folderId: string): boolean {
    const path = comparablePath(folderId)
    return this.#subtrees.some((subtree) => path === subtree || path.startsWith(`${subtree}/`))
  }
}

interface FolderChange {
  /** The hashes of its id and its path. */
  readonly hashes: readonly number[]
  /** The hash of the folder that contains it now, if known. */
  readonly parent: number | null
  readonly isGone: boolean
  /** False: it may be a file. */
  readonly isFolder: boolean
  /** The path of its content, if ids are paths; `null` if its descendants are not known. */
  readonly subtree: string | null
}

function toFolderChange({ id, path, parentId, isFolder, isGone }: Change): FolderChange {
  const hashes: number[] = []
  if (id !== null) hashes.push(hashId(id))
  if (path !== null) hashes.push(hashPath(path))
  const hasPathIds = path !== null && (id === null || comparablePath(id) === comparablePath(path))
  const parent = parentId !== null ? hashId(parentId) : path !== null ? hashPath(parentOfPath(path)) : null
  return { hashes, parent, isGone, isFolder: isFolder === true, subtree: hasPathIds ? comparablePath(path) : null }
}

function affectsDescendants(change: FolderChange, pages: readonly ComparablePage[]): boolean {
  const { hashes, parent, isGone, isFolder } = change
  const isIn = (fingerprint: Fingerprint): boolean => hashes.some((hash) => hasHash(fingerprint, hash))
  const holders = pages.filter(({ content }) => isIn(content.all))
  const isKnownFolder = isFolder || holders.some(({ content }) => isIn(content.folders) || isIn(content.folder))
  if (isGone) return isKnownFolder || holders.length === 0
  if (!isKnownFolder || holders.length === 0) return false
  // If its folder already shows it, it has not moved.
  return !holders.some(({ content }) => parent !== null && hasHash(content.folder, parent))
}

function intersects(hashes: ReadonlySet<number>, fingerprint: Fingerprint): boolean {
  if (hashes.size > FEW_CHANGES && fingerprint.length < hashes.size) {
    return fingerprint.some((hash) => hashes.has(hash))
  }
  for (const hash of hashes) {
    if (hasHash(fingerprint, hash)) return true
  }
  return false
}

function isUnknown({ id, path, concerns }: Change): boolean {
  return id === null && path === null && concerns === 'item'
}
