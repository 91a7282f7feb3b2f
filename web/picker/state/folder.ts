import type { Entry, FolderInfo, IncompleteReason, Listing } from '../../../src/core/entry.ts'
import type { FolderRef, ListedPage, PickerApi } from '../api.ts'
import { PickerProblem, toProblem } from '../problem.ts'
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
  readonly #onProblem: (problem: PickerProblem) => void
  #emptyPages = 0
  #update: AbortController | null = null
  /** Whether an update has to begin again, because something more urgent has replaced or delayed it. */
  #needsUpdate = false

  constructor(api: () => PickerApi, limit: () => number, options: TaskOptions) {
    this.#api = api
    this.#limit = limit
    this.#onChange = options.onChange
    this.#onProblem = options.onProblem
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
    this.#cancelUpdate()
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
    // The user is waiting for the page. The update would replace it, so it begins again afterwards.
    if (this.#update !== null) {
      this.#cancelUpdate()
      this.#needsUpdate = true
    }
    await this.paging.run((signal) => this.#fetchNext(pages, signal))
    if (this.#needsUpdate) await this.update()
  }

  /**
   * Reads all loaded pages again, and replaces them at once if something has changed. It shows nothing while it reads,
   * and leaves the displayed entries if it fails. While the folder loads, the update waits.
   * @returns the problem, if it has failed
   */
  async update(): Promise<PickerProblem | null> {
    const { folder, pages } = this
    if (folder === null || pages === null) return null
    this.#needsUpdate = true
    if (this.#update !== null || this.loading.isBusy || this.paging.isBusy) return null
    const controller = new AbortController()
    const { signal } = controller
    this.#update = controller
    try {
      while (this.#needsUpdate) {
        this.#needsUpdate = false
        const { revision } = pages
        const read = await this.#rereadPages(folder, pages, signal)
        if (signal.aborted) return null
        // An upload has inserted its entry meanwhile; the pages may be older.
        if (pages.revision !== revision) this.#needsUpdate = true
        else if (pages.replaceAll(read)) this.#onChange()
      }
      return null
    } catch (error) {
      if (signal.aborted) return null
      const problem = toProblem(error)
      this.#needsUpdate = false
      if (problem.code === 'FOLDER_NOT_FOUND') this.#showMissing(problem)
      else if (problem.code.startsWith('CONNECTION_')) this.#onProblem(problem)
      return problem
    } finally {
      if (this.#update === controller) this.#update = null
    }
  }

  #cancelUpdate(): void {
    this.#update?.abort()
    this.#update = null
    this.#needsUpdate = false
  }

  /** Replaces the entries by the problem. A retry loads the folder. */
  #showMissing(problem: PickerProblem): void {
    let isFirst = true
    this.pages = null
    void this.loading.run(async (signal) => {
      if (isFirst) {
        isFirst = false
        throw problem
      }
      await this.#loadFirst(signal, false)
    })
  }

  async #rereadPages(folder: FolderRef, pages: FolderPages, signal: AbortSignal): Promise<readonly LoadedPage[]> {
    const limit = this.#limit()
    const { loaded } = pages
    const lastId = loaded.at(-1)?.listing.entries.at(-1)?.id
    const oldIds = new Set(pages.entries.map(({ id }) => id))
    const read: LoadedPage[] = []
    let cursor: string | undefined
    let hasNew = false
    let hasLast = lastId === undefined
    // New entries may have moved the last entries of the last page to a further one.
    while (read.length < loaded.length || (read.length === loaded.length && hasNew && !hasLast)) {
      const request = { limit, ...(cursor !== undefined && { cursor }) }
      const known = loaded[read.length]
      const etag = known?.cursor === cursor ? known?.listing.etag : null
      const listing =
        known !== undefined && etag != null
          ? ((await this.#api().listIfChanged(folder, request, etag, signal)) ?? known.listing)
          : await this.#api().list(folder, request, signal)
      signal.throwIfAborted()
      read.push({ cursor, listing })
      hasNew ||= listing.entries.some(({ id }) => !oldIds.has(id))
      hasLast ||= listing.entries.some(({ id }) => id === lastId)
      if (listing.page.next === null) break
      cursor = listing.page.next
    }
    return read
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
    this.#cancelUpdate()
    this.paging.stop()
    this.#emptyPages = 0
    await this.loading.run((signal) => this.#loadFirst(signal, refresh))
    if (this.#needsUpdate) await this.update()
  }

  async #loadFirst(signal: AbortSignal, refresh: boolean): Promise<void> {
    const { folder } = this
    if (folder === null) return
    const listing = await this.#api().list(folder, { limit: this.#limit(), refresh }, signal)
    signal.throwIfAborted()
    const pages = new FolderPages()
    pages.add(listing)
    this.pages = pages
    this.breadcrumbs = withFolderName(this.breadcrumbs, listing.folder)
  }

  async #fetchNext(pages: FolderPages, signal: AbortSignal): Promise<void> {
    const { folder } = this
    if (folder === null || pages.next === null) return
    try {
      const cursor = pages.next
      const listing = await this.#api().list(folder, { cursor, limit: this.#limit() }, signal)
      signal.throwIfAborted()
      this.#emptyPages = listing.entries.length === 0 ? this.#emptyPages + 1 : 0
      pages.add(listing, cursor)
    } catch (error) {
      // Reload once. If a cursor fails again after that, leave the decision to the user.
      if (!(error instanceof PickerProblem) || !UNUSABLE_CURSOR_CODES.has(error.code) || this.wasReloaded) throw error
      this.wasReloaded = true
      await this.#load(true)
    }
  }
}

const collator = new Intl.Collator(undefined, { numeric: true })

interface LoadedPage {
  /** `undefined` for the first page. */
  readonly cursor: string | undefined
  readonly listing: ListedPage
}

/** What an update has changed. */
export interface EntryChanges {
  readonly added: number
  readonly removed: number
  readonly changed: number
}

/** The loaded entries of one folder: folders first, otherwise in the order of the listing. */
export class FolderPages {
  folder: FolderInfo | null = null
  next: string | null = null
  /** Why the listing is incomplete, or `null` if it is complete. The most severe reason of all pages. */
  reason: IncompleteReason | null = null
  /** A new array after each change. */
  entries: readonly Entry[] = []
  /** The pages as they were read. */
  loaded: readonly LoadedPage[] = []
  /** Raised by each insertion. */
  revision = 0
  /** The changes of the last update. A new object after each one. */
  lastChanges: EntryChanges | null = null
  /** Entries that were inserted, and may belong to a page that is not loaded. */
  readonly #inserted = new Map<string, Entry>()
  readonly #containers = new Map<string, Entry>()
  readonly #others = new Map<string, Entry>()
  #isSorted = false

  /** Adds a page. An entry that was already loaded is replaced, so that it has one row. */
  add(listing: Listing, cursor?: string): void {
    this.#append(listing, cursor)
    this.#mergeEntries()
  }

  /**
   * Replaces all pages. Entries that have not changed remain the same objects.
   * @returns whether something has changed
   */
  replaceAll(pages: readonly LoadedPage[]): boolean {
    const isSame =
      pages.length === this.loaded.length && pages.every(({ listing }, at) => listing === this.loaded[at]?.listing)
    if (isSame) return false
    const before = new Map(this.entries.map((entry) => [entry.id, entry]))
    const [next, reason] = [this.next, this.reason]
    this.#containers.clear()
    this.#others.clear()
    this.loaded = []
    this.folder = null
    this.reason = null
    for (const { listing, cursor } of pages) {
      this.#append({ ...listing, entries: listing.entries.map((entry) => reuse(before.get(entry.id), entry)) }, cursor)
    }
    // The originals, which a later update compares.
    this.loaded = pages
    for (const [id, entry] of this.#inserted) {
      if (this.next === null || this.#groupOf(entry).has(id)) this.#inserted.delete(id)
      else this.#place(entry)
    }
    const old = [...before.values()]
    this.#mergeEntries()
    const ids = new Set(this.entries.map(({ id }) => id))
    const known = this.entries.filter(({ id }) => before.has(id))
    const changes = {
      added: this.entries.length - known.length,
      removed: old.filter(({ id }) => !ids.has(id)).length,
      changed: known.filter((entry) => before.get(entry.id) !== entry).length
    }
    const hasMoved = this.entries.some((entry, at) => entry !== old[at])
    if (changes.added + changes.removed + changes.changed > 0) this.lastChanges = changes
    return hasMoved || old.length !== this.entries.length || next !== this.next || reason !== this.reason
  }

  #append(listing: ListedPage, cursor: string | undefined): void {
    const { folder, entries, page } = listing
    this.loaded = [...this.loaded, { cursor, listing }]
    this.folder ??= folder
    this.next = page.next
    this.#isSorted = page.order === 'folder-then-name'
    // "more" is temporary: the next page may complete the listing. All other reasons are final.
    if (this.reason === null || this.reason === 'more') this.reason = page.reason
    for (const entry of entries) this.#groupOf(entry).set(entry.id, entry)
  }

  /** Inserts a new entry at its position by name. */
  insert(entry: Entry): void {
    this.revision++
    this.#inserted.set(entry.id, entry)
    this.#place(entry)
    this.#mergeEntries()
  }

  #place(entry: Entry): void {
    const group = this.#groupOf(entry)
    const others = [...group.values()].filter(({ id }) => id !== entry.id)
    const found = this.#isSorted ? others.findIndex(({ name }) => collator.compare(name, entry.name) > 0) : -1
    others.splice(found === -1 ? others.length : found, 0, entry)
    group.clear()
    for (const each of others) group.set(each.id, each)
  }

  #groupOf(entry: Entry): Map<string, Entry> {
    return isContainer(entry) ? this.#containers : this.#others
  }

  #mergeEntries(): void {
    this.entries = [...this.#containers.values(), ...this.#others.values()]
  }
}

/** Returns the known entry if nothing has changed, so that its row stays as it is. */
function reuse(known: Entry | undefined, entry: Entry): Entry {
  return known !== undefined && JSON.stringify(known) === JSON.stringify(entry) ? known : entry
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
