import { type Change } from '../core/change-feed.ts'
import type { Moment } from '../core/time.ts'
import {
  comparablePath,
  type Fingerprint,
  hashId,
  hashPath,
  hasHash,
  type PageContent,
  parentOfPath
} from './fingerprint.ts'
import { FolderTree } from './folder-tree.ts'

/** A page that changes are compared with. */
export interface ComparablePage {
  readonly content: PageContent
  /** The scope that contains the folder; `null` if it is not known. */
  readonly scope: string | null
  readonly hasMark: boolean
}

/** A change that may be of a folder with an id that is no path. */
interface FolderChange {
  /** The hash of the folder that contains it now; `null`: none, or not known. */
  readonly parent: number | null
  readonly isGone: boolean
  /** `null`: it may be a file. */
  isFolder: boolean | null
  /** A page lists it in another folder than the one that contains it now. */
  isMoved: boolean
}

/** The pages that a change of a folder above names: all, or those that show paths or permissions. */
type Reach = 'none' | 'inheriting' | 'all'

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
  readonly isOfEverything: boolean
  /** Something in the scope has changed that the provider does not name. */
  readonly isOfUnknownItem: boolean
  readonly #items = new Set<number>()
  readonly #parents = new Set<number>()
  /** Drives, with their scopes, that have appeared, changed or disappeared. */
  readonly #drives = new Set<string>()
  /** By the hashes of their ids and paths. */
  readonly #folders = new Map<number, FolderChange[]>()
  /** The paths of folders, if ids are paths. */
  readonly #subtrees: string[] = []
  /** The pages with unknown ancestors that these changes may concern. */
  #reach: Reach = 'all'
  #isOfRoots = false
  #isInRoot = false

  constructor(scope: string, changes: readonly Change[], readAt: Moment, isOfEverything = false) {
    this.scope = scope
    this.readAt = readAt
    this.count = changes.length
    this.isOfEverything = isOfEverything
    this.isOfUnknownItem = changes.some(isUnknown)
    for (const change of changes) this.#add(change)
  }

  /** Returns the changes after which nothing in the connection is known to be current. */
  static ofEverything(scope: string, readAt: Moment): ChangeSet {
    return new ChangeSet(scope, [], readAt, true)
  }

  /**
   * Returns those of the connection's cached pages that may have changed. Which folders are below a changed one is known
   * from these pages alone: a provider reports a folder that has changed, but none of its descendants.
   *
   * - A folder that is gone takes all pages below with it, since the user may have lost access to them.
   * - So does one that a page lists in another place. That page is also what anchored it there; a folder further up in
   *   the new place may be gone at the same time.
   * - Any other folder may have been renamed, shared or moved, which feeds do not distinguish. That changes paths and
   *   permissions below, and nothing else. Without this distinction, a feed that repeats the folders above each item
   *   (OneDrive) would drop nearly everything with each change.
   */
  findNamed(pages: readonly ComparablePage[]): ReadonlySet<ComparablePage> {
    this.#observeFolders(pages)
    const { lost, changed, reach } = this.#sortFolders()
    this.#reach = reach
    const isNamedByContent = (page: ComparablePage): boolean => this.#namesContentOf(page)
    if (reach === 'none' || this.isOfEverything) return new Set(pages.filter(isNamedByContent))
    const tree = new FolderTree(pages.map(({ content }) => content))
    const unanchored = tree.unanchoredPages()
    const belowLost = tree.pagesBelow(lost)
    const belowChanged = tree.pagesBelow(changed)
    const isBelow = ({ content }: ComparablePage): boolean =>
      belowLost.has(content) ||
      (content.showsInherited && belowChanged.has(content)) ||
      (unanchored.has(content) && this.#reaches(content))
    return new Set(pages.filter((page) => isNamedByContent(page) || isBelow(page)))
  }

  /** Returns true if a page may have changed that was not cached when the changes were read. */
  names(page: ComparablePage): boolean {
    // Its place in the tree of that time is not known.
    return this.#namesContentOf(page) || this.#reaches(page.content)
  }

  #namesContentOf({ content, scope, hasMark }: ComparablePage): boolean {
    if (this.isOfEverything) return true
    // A page with a mark is doubtful instead.
    if (this.isOfUnknownItem && !hasMark && (scope === null || scope === this.scope)) return true
    if (this.#isOfRoots && content.isVirtual) return true
    if (this.#isInRoot && content.folderId === null) return true
    if (scope !== null && this.#drives.has(scope)) return true
    // The root has an id that is not known if it is empty.
    if (content.folder.length === 0 && this.#parents.size > 0) return true
    if (intersects(this.#items, content.all) || intersects(this.#parents, content.folder)) return true
    return this.#subtrees.length > 0 && content.folderId !== null && this.#isInSubtree(content.folderId)
  }

  #reaches(content: PageContent): boolean {
    if (content.isTop) return false
    return this.#reach === 'all' || (this.#reach === 'inheriting' && content.showsInherited)
  }

  #add(change: Change): void {
    const { id, path, parentId, isFolder, isGone, concerns } = change
    if (id !== null) this.#items.add(hashId(id))
    if (path !== null) this.#items.add(hashPath(path))
    if (concerns === 'roots') {
      this.#isOfRoots = true
      if (id !== null) this.#drives.add(id)
      // Membership decides about the access to everything below.
      if (isFolder !== false) this.#addFolder(change)
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
    if (isFolder !== false) this.#addFolder(change)
  }

  #addFolder({ id, path, parentId, isFolder, isGone }: Change): void {
    if (path !== null && (id === null || comparablePath(id) === comparablePath(path))) {
      // Another folder may have come to this path.
      this.#subtrees.push(comparablePath(path))
      if (id !== null) return
    }
    const parent = parentId !== null ? hashId(parentId) : path !== null ? hashPath(parentOfPath(path)) : null
    const change: FolderChange = { parent, isGone, isFolder, isMoved: false }
    const hashes = [...(id === null ? [] : [hashId(id)]), ...(path === null ? [] : [hashPath(path)])]
    for (const hash of hashes) {
      const known = this.#folders.get(hash)
      if (known === undefined) this.#folders.set(hash, [change])
      else known.push(change)
    }
  }

  /** Finds out from the pages which of the changes are of folders, and which of these have moved. */
  #observeFolders(pages: readonly ComparablePage[]): void {
    if (this.#folders.size === 0) return
    for (const { content } of pages) {
      const { folder, folders, targets, isVirtual } = content
      for (const hash of commonHashes(this.#folders, content.all)) {
        const isListed = hasHash(folders, hash)
        const isFolder = isListed || hasHash(targets, hash) || hasHash(folder, hash)
        for (const change of this.#folders.get(hash) ?? []) {
          if (isFolder) change.isFolder = true
          else change.isFolder ??= false
          const { parent } = change
          if (!isListed || folder.length === 0) continue
          if (parent === null ? !isVirtual : !hasHash(folder, parent)) change.isMoved = true
        }
      }
    }
  }

  #sortFolders(): { readonly lost: readonly number[]; readonly changed: readonly number[]; readonly reach: Reach } {
    const lost: number[] = []
    const changed: number[] = []
    for (const [hash, changes] of this.#folders) {
      const ofFolder = changes.filter(({ isFolder }) => isFolder !== false)
      if (ofFolder.length === 0) continue
      if (ofFolder.some(({ isGone, isMoved }) => isGone || isMoved)) lost.push(hash)
      else changed.push(hash)
    }
    return { lost, changed, reach: lost.length > 0 ? 'all' : changed.length > 0 ? 'inheriting' : 'none' }
  }

  #isInSubtree(folderId: string): boolean {
    const path = comparablePath(folderId)
    return this.#subtrees.some((subtree) => path === subtree || path.startsWith(`${subtree}/`))
  }
}

function intersects(hashes: ReadonlySet<number>, fingerprint: Fingerprint): boolean {
  return !commonHashes(hashes, fingerprint).next().done
}

type HashSet = Pick<ReadonlySet<number>, 'size' | 'has' | 'keys'>

function* commonHashes(hashes: HashSet, fingerprint: Fingerprint): Generator<number> {
  if (hashes.size > FEW_CHANGES && fingerprint.length < hashes.size) {
    for (const hash of fingerprint) if (hashes.has(hash)) yield hash
  } else {
    for (const hash of hashes.keys()) if (hasHash(fingerprint, hash)) yield hash
  }
}

function isUnknown({ id, path, concerns }: Change): boolean {
  return id === null && path === null && concerns === 'item'
}
