import type { Entry, FolderInfo, IncompleteReason, Listing } from '../../../src/core/entry.ts'
import type { PickerApi, FolderRef } from '../api.ts'
import { PickerProblem } from '../problem.ts'
import { targetFolderId, isContainer } from './selection.ts'
import { Task, type TaskOptions } from './task.ts'

/** Consecutive empty pages that are fetched automatically before the user is asked. */
const MAX_EMPTY_PAGES = 5
/** Error codes of a cursor that is no longer usable. */
const UNUSABLE_CURSOR_CODES: ReadonlySet<string> = new Set(['CURSOR_EXPIRED', 'INVALID_CURSOR'])

/** The current folder: its path and its loaded pages. */
export class FolderBrowser {
  folder: FolderRef | null = null
  breadcrumbs: Breadcrumbs = []
  /** `null` until the first page has arrived. */
  pages: FolderPages | null = null
  /** The ID of the child folder that the user came from. The focus goes to it when the folder appears. */
  previousChildId: string | null = null
  /** Whether the folder was reloaded because its cursor was no longer usable. */
  wasReloaded = false
  /** Loads the first page. */
  readonly loading: Task
  /** Loads further pages. */
  readonly paging: Task
  readonly #api: () => PickerApi
  readonly #limit: () => number
  readonly #onChange: () => void
  #emptyPages = 0

  constructor(api: () => PickerApi, limit: () => number, options: TaskOptions) {
    this.#api = api
    this.#limit = limit
    this.#onChange = options.onChange
    this.loading = new Task(options)
    this.paging = new Task(options)
  }

  /** @param rootName display name of the root of the connection */
  async open(folder: FolderRef, rootName: string): Promise<void> {
    await this.#navigate(folder, breadcrumbsTo(rootName, folder.folderId))
  }

  /** Sets the current folder without loading it. `reload` loads it. */
  setFolder(folder: FolderRef, rootName: string): void {
    this.close()
    this.folder = folder
    this.breadcrumbs = breadcrumbsTo(rootName, folder.folderId)
  }

  /** Opens a subfolder of the current folder. Ignores entries that open no folder. */
  async enter(entry: Entry): Promise<void> {
    const folderId = targetFolderId(entry)
    if (this.folder === null || folderId === null) return
    await this.#navigate({ ...this.folder, folderId }, [...this.breadcrumbs, { id: folderId, name: entry.name }])
  }

  /** Goes back to a step of the trail, by its index. */
  async openAncestor(index: number): Promise<void> {
    const breadcrumb = this.breadcrumbs[index]
    if (this.folder === null || breadcrumb === undefined) return
    const previousChildId = this.breadcrumbs[index + 1]?.id ?? null
    await this.#navigate(
      { ...this.folder, folderId: breadcrumb.id },
      this.breadcrumbs.slice(0, index + 1),
      previousChildId
    )
  }

  /** Closes the current folder. */
  close(): void {
    this.loading.stop()
    this.paging.stop()
    this.folder = null
    this.breadcrumbs = []
    this.pages = null
    this.#onChange()
  }

  /** Reloads the current folder. The displayed entries stay until the response arrives. */
  async reload(): Promise<void> {
    this.wasReloaded = false
    await this.#load(true)
  }

  /** Loads the next page, unless it is already loading, has failed or does not exist. */
  async loadMore(isUserRequest = false): Promise<void> {
    const { pages } = this
    if (pages?.next == null || this.loading.isBusy || this.paging.isBusy) return
    if (!isUserRequest && (this.paging.state.type !== 'idle' || this.#emptyPages >= MAX_EMPTY_PAGES)) return
    if (isUserRequest) this.#emptyPages = 0
    await this.paging.run((signal) => this.#fetchNext(pages, signal))
  }

  async #navigate(folder: FolderRef, breadcrumbs: Breadcrumbs, previousChildId: string | null = null): Promise<void> {
    this.folder = folder
    this.breadcrumbs = breadcrumbs
    this.pages = null
    this.previousChildId = previousChildId
    this.wasReloaded = false
    await this.#load(false)
  }

  async #load(refresh: boolean): Promise<void> {
    const { folder } = this
    if (folder === null) return
    this.paging.stop()
    this.#emptyPages = 0
    await this.loading.run(async (signal) => {
      const listing = await this.#api().list(folder, { limit: this.#limit(), refresh }, signal)
      signal.throwIfAborted()
      const pages = new FolderPages()
      pages.add(listing)
      this.pages = pages
      this.breadcrumbs = withFolderName(this.breadcrumbs, listing.folder)
    })
  }

  async #fetchNext(pages: FolderPages, signal: AbortSignal): Promise<void> {
    const { folder } = this
    if (folder === null || pages.next === null) return
    try {
      const listing = await this.#api().list(folder, { cursor: pages.next, limit: this.#limit() }, signal)
      signal.throwIfAborted()
      this.#emptyPages = listing.entries.length === 0 ? this.#emptyPages + 1 : 0
      pages.add(listing)
    } catch (error) {
      // Reload once. If a cursor fails again after that, leave the decision to the user.
      if (!(error instanceof PickerProblem) || !UNUSABLE_CURSOR_CODES.has(error.code) || this.wasReloaded) throw error
      this.wasReloaded = true
      await this.#load(true)
    }
  }
}

const collator = new Intl.Collator(undefined, { numeric: true })

/** The loaded entries of one folder: folders first, otherwise in the order of the listing. */
export class FolderPages {
  folder: FolderInfo | null = null
  next: string | null = null
  /** Why the listing is incomplete, or `null` if it is complete. The most severe reason of all pages. */
  reason: IncompleteReason | null = null
  /** A new array after each change. */
  entries: readonly Entry[] = []
  readonly #containers = new Map<string, Entry>()
  readonly #others = new Map<string, Entry>()
  #isSorted = false

  /** Adds a page. An entry that was already loaded is replaced, so that it has one row. */
  add({ folder, entries, page }: Listing): void {
    this.folder ??= folder
    this.next = page.next
    this.#isSorted = page.order === 'folder-then-name'
    // "more" is temporary: the next page may complete the listing. All other reasons are final.
    if (this.reason === null || this.reason === 'more') this.reason = page.reason
    for (const entry of entries) this.#groupOf(entry).set(entry.id, entry)
    this.#mergeEntries()
  }

  /** Inserts a new entry at its position by name. */
  insert(entry: Entry): void {
    const group = this.#groupOf(entry)
    const others = [...group.values()].filter(({ id }) => id !== entry.id)
    const found = this.#isSorted ? others.findIndex(({ name }) => collator.compare(name, entry.name) > 0) : -1
    others.splice(found === -1 ? others.length : found, 0, entry)
    group.clear()
    for (const each of others) group.set(each.id, each)
    this.#mergeEntries()
  }

  #groupOf(entry: Entry): Map<string, Entry> {
    return isContainer(entry) ? this.#containers : this.#others
  }

  #mergeEntries(): void {
    this.entries = [...this.#containers.values(), ...this.#others.values()]
  }
}

/** One step of the path to a folder. `name` is `null` until a listing provides it. */
export interface Breadcrumb {
  readonly id: string | null
  readonly name: string | null
}

/** The path from the root of a connection to the current folder. It always contains the root. */
export type Breadcrumbs = readonly Breadcrumb[]

/** @param folderId `null` for the root itself */
export function breadcrumbsTo(rootName: string, folderId: string | null): Breadcrumbs {
  const breadcrumbs: Breadcrumb[] = [{ id: null, name: rootName }]
  if (folderId !== null) breadcrumbs.push({ id: folderId, name: null })
  return breadcrumbs
}

/**
 * Adds the name of the last step from a listing. If the user started in the middle of a tree, the parent is missing:
 * it is inserted without a name, so that the user can navigate up.
 */
export function withFolderName(breadcrumbs: Breadcrumbs, { id, name, parentId }: FolderInfo): Breadcrumbs {
  const last = breadcrumbs.at(-1)
  if (last === undefined || last.id === null || last.name !== null) return breadcrumbs
  const ancestors = breadcrumbs.slice(0, -1)
  if (breadcrumbs.length === 2 && parentId !== null && parentId !== id) ancestors.push({ id: parentId, name: null })
  return [...ancestors, { id: last.id, name }]
}
