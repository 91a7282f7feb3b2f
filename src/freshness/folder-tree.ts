import type { PageContent } from './fingerprint.ts'

/** Pages of the folder that has one id or path. */
type PagesOfFolder = Node[]

interface Node {
  readonly page: PageContent
  readonly children: PagesOfFolder[]
  isListed: boolean
}

/**
 * The tree of folders as far as cached pages show it. A folder is in another one if a page of the other lists it: a
 * shortcut to it does not count. Pages may be missing or old, so a folder has no parent here, one, or several.
 *
 * Two ids with one hash add a parent that is wrong. Then more pages are below a folder than there are, and a page is
 * anchored only if all its parents are. So an equal hash matters only in place of the parent's page, if that is not
 * cached; with 10,000 folders in 100 pages, that is one connection in 4,000, and a deletion above that very page.
 *
 * Everything here is linear in the number of hashes.
 */
export class FolderTree {
  readonly #pagesOf = new Map<number, PagesOfFolder>()
  readonly #nodes: readonly Node[]

  constructor(pages: readonly PageContent[]) {
    this.#nodes = pages.map((page) => ({ page, children: [], isListed: false }))
    for (const node of this.#nodes) {
      for (const hash of node.page.folder) {
        const known = this.#pagesOf.get(hash)
        if (known === undefined) this.#pagesOf.set(hash, [node])
        else known.push(node)
      }
    }
    for (const { page, children } of this.#nodes) {
      for (const hash of page.folders) {
        const pages = this.#pagesOf.get(hash)
        if (pages !== undefined) children.push(pages)
      }
    }
    for (const pages of new Set(this.#nodes.flatMap(({ children }) => children))) {
      for (const node of pages) node.isListed = true
    }
  }

  /** Returns the pages of folders, and of all folders below them. */
  pagesBelow(folders: Iterable<number>): ReadonlySet<PageContent> {
    return this.#descend([...folders].flatMap((hash) => this.#pagesOf.get(hash) ?? []))
  }

  /**
   * Returns the pages that may be below any folder: the folders above them are not known up to a top. This includes
   * those that one chain of parents connects with a top and another one does not, and cycles.
   */
  unanchoredPages(): ReadonlySet<PageContent> {
    const isAnchor = ({ page }: Node): boolean => page.isTop || page.isVirtual
    const anchored = this.#descend(this.#nodes.filter(isAnchor))
    const unknown = this.#descend(this.#nodes.filter((node) => !isAnchor(node) && !node.isListed))
    return new Set(this.#nodes.map(({ page }) => page).filter((page) => unknown.has(page) || !anchored.has(page)))
  }

  /** Visits each page, and each id, once. */
  #descend(start: Iterable<Node>): ReadonlySet<PageContent> {
    const found = new Set(start)
    const visited = new Set<PagesOfFolder>()
    // The loop includes what is added meanwhile.
    for (const { children } of found) {
      for (const pages of children) {
        if (visited.has(pages)) continue
        visited.add(pages)
        for (const node of pages) found.add(node)
      }
    }
    return new Set(Array.from(found, ({ page }) => page))
  }
}
