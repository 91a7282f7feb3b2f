import type { StorageBackend } from '../../../src/core/backend.ts'
import { type Change, ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import type { EntryPage } from '../../../src/core/entry.ts'
import { callOptions, find, requireMethod } from './arrange.ts'

/** A page that a caller has cached. */
interface WatchedPage {
  /** Below the root, without `/` at its end; `''` is the root. */
  readonly path: string
  readonly folderId: string | null
  readonly page: EntryPage
}

const MAX_FEED_PAGES = 50

/**
 * Pages of folders, and the positions that were taken before they were loaded. It decides as a cache does which pages
 * a change names.
 */
export class WatchedPages {
  readonly #backend: StorageBackend
  readonly #pages: readonly WatchedPage[]
  readonly #positions: Map<string, string>

  private constructor(backend: StorageBackend, pages: readonly WatchedPage[], positions: Map<string, string>) {
    this.#backend = backend
    this.#pages = pages
    this.#positions = positions
  }

  /** Loads the pages twice: the first ones tell the scopes, whose positions must be older than the page. */
  static async load(backend: StorageBackend, paths: readonly string[]): Promise<WatchedPages> {
    const positions = new Map<string, string>()
    const follow = async (scope: string) => {
      if (!positions.has(scope) && backend.position !== undefined) {
        positions.set(scope, await backend.position(scope, callOptions()))
      }
    }
    await follow(ROOT_SCOPE)
    for (const { page } of await loadPages(backend, paths)) {
      if (page.freshness?.scope !== undefined) await follow(page.freshness.scope)
    }
    return new WatchedPages(backend, await loadPages(backend, paths), positions)
  }

  /** Returns the paths of the pages that nothing confirms. */
  uncovered(): string[] {
    return this.#pages.filter(({ page }) => (page.freshness ?? null) === null).map(({ path }) => path)
  }

  positionOf(scope: string): string {
    const position = this.#positions.get(scope)
    if (position === undefined) throw new Error('the scope has no position')
    return position
  }

  /** Reads all feeds to their ends. Returns the paths of the pages that have changed according to the backend. */
  async changed({ keepPositions = false } = {}): Promise<string[]> {
    const changed = new Set<WatchedPage>()
    for (const scope of this.#positions.keys()) {
      const changes = await this.#read(scope, keepPositions)
      for (const watched of this.#pages) {
        const { freshness } = watched.page
        const isInScope = freshness?.scope === scope
        if (changes === 'lost') {
          if (isInScope) changed.add(watched)
          continue
        }
        for (const change of changes) {
          const isUnknown = change.id === null && change.path === null && change.concerns === 'item'
          // A mark confirms the page after a change that names no item.
          if (isUnknown ? isInScope && freshness.mark === undefined : this.#isNamed(watched, change)) {
            changed.add(watched)
          } else if (isUnknown && isInScope && !(await this.#isCurrent(watched))) {
            changed.add(watched)
          }
        }
      }
    }
    for (const watched of this.#pages) {
      const isMarkOnly = watched.page.freshness?.mark !== undefined && watched.page.freshness.scope === undefined
      if (isMarkOnly && !(await this.#isCurrent(watched))) changed.add(watched)
    }
    return this.#pages.filter((watched) => changed.has(watched)).map(({ path }) => path)
  }

  async #isCurrent({ folderId, page }: WatchedPage): Promise<boolean> {
    const mark = page.freshness?.mark
    if (mark === undefined || this.#backend.isCurrent === undefined) throw new Error('a mark without isCurrent')
    return this.#backend.isCurrent(folderId, mark, callOptions())
  }

  async #read(scope: string, keepPosition: boolean): Promise<readonly Change[] | 'lost'> {
    const found: Change[] = []
    let position = this.positionOf(scope)
    for (let pages = 0; pages < MAX_FEED_PAGES; pages++) {
      const page = await requireMethod(this.#backend.changes?.bind(this.#backend))(scope, position, callOptions())
      if (page === 'lost') return 'lost'
      found.push(...page.changes)
      position = page.position
      if (page.hasMore) continue
      if (!keepPosition) this.#positions.set(scope, position)
      return found
    }
    throw new Error('the feed does not end')
  }

  #isNamed(watched: WatchedPage, change: Change): boolean {
    const { page, folderId, path } = watched
    const ownIds = [folderId, page.folder.id]
    if (change.concerns === 'roots' && path === '') return true
    if (change.parentId !== null && ownIds.includes(change.parentId)) return true
    if (change.id !== null && (ownIds.includes(change.id) || holdsId(page, change.id))) return true
    if (change.path !== null && holdsPath(page, change.path)) return true
    // Everything below a folder that is gone. Its kind may be unknown.
    return (
      change.isGone &&
      change.isFolder !== false &&
      this.#pages.some((above) => {
        const isAbove = above.path !== path && (above.path === '' || path.startsWith(`${above.path}/`))
        const entry = isAbove ? above.page.entries.find(({ id }) => id === change.id) : undefined
        return (
          (isAbove && above.path !== '' && above.folderId === change.id) ||
          (entry !== undefined && `${path}/`.startsWith(`${above.path === '' ? '' : `${above.path}/`}${entry.name}/`))
        )
      })
    )
  }
}

async function loadPages(backend: StorageBackend, paths: readonly string[]): Promise<WatchedPage[]> {
  const pages: WatchedPage[] = []
  for (const path of paths) {
    const folderId = path === '' ? null : (await find(backend, path)).id
    pages.push({ path, folderId, page: await backend.listFolder(folderId, { ...callOptions(), limit: 1000 }) })
  }
  return pages
}

function holdsId({ entries }: EntryPage, id: string): boolean {
  return entries.some((entry) => entry.id === id || entry.target?.id === id)
}

/** Paths are compared without regard to case. A path also names the pages below it. */
function holdsPath({ entries }: EntryPage, path: string): boolean {
  const lower = path.toLowerCase()
  return entries.some((entry) => {
    const own = entry.path?.toLowerCase()
    return own === lower || own?.startsWith(`${lower}/`) === true
  })
}
