import type { Entry, FolderInfo, IncompleteReason, Listing } from '../../../src/core/entry.ts'
import type { PickerApi, Place } from '../api.ts'
import { PickerProblem } from '../problem.ts'
import { folderBehind, isContainer } from './selection.ts'
import { Task, type TaskOptions } from './task.ts'

/** Consecutive empty pages that are fetched automatically before the user is asked. */
const MAX_EMPTY_PAGES = 5
/** Error codes of a cursor that is no longer usable. */
const LOST_CURSOR: ReadonlySet<string> = new Set(['CURSOR_EXPIRED', 'INVALID_CURSOR'])

/** The current folder: its path and its loaded pages. */
export class FolderBrowser {
  place: Place | null = null
  trail: Trail = []
  /** `null` until the first page has arrived. */
  pages: FolderPages | null = null
  /** The ID of the child folder that the user came from. The focus goes to it when the folder appears. */
  cameFrom: string | null = null
  /** Whether the folder was reloaded because its cursor was no longer usable. */
  isRestarted = false
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

  /** @param root display name of the root of the connection */
  async open(place: Place, root: string): Promise<void> {
    await this.#go(place, trailTo(root, place.folderId))
  }

  /** Sets the current folder without loading it. `reload` loads it. */
  aim(place: Place, root: string): void {
    this.close()
    this.place = place
    this.trail = trailTo(root, place.folderId)
  }

  /** Opens a subfolder of the current folder. Ignores entries that open no folder. */
  async enter(entry: Entry): Promise<void> {
    const folderId = folderBehind(entry)
    if (this.place === null || folderId === null) return
    await this.#go({ ...this.place, folderId }, [...this.trail, { id: folderId, name: entry.name }])
  }

  /** Goes back to a step of the trail, by its index. */
  async climb(index: number): Promise<void> {
    const crumb = this.trail[index]
    if (this.place === null || crumb === undefined) return
    const cameFrom = this.trail[index + 1]?.id ?? null
    await this.#go({ ...this.place, folderId: crumb.id }, this.trail.slice(0, index + 1), cameFrom)
  }

  /** Closes the current folder. */
  close(): void {
    this.loading.stop()
    this.paging.stop()
    this.place = null
    this.trail = []
    this.pages = null
    this.#onChange()
  }

  /** Reloads the current folder. The displayed entries stay until the response arrives. */
  async reload(): Promise<void> {
    this.isRestarted = false
    await this.#load(true)
  }

  /** Loads the next page, unless it is already loading, has failed or does not exist. */
  async more(isAsked = false): Promise<void> {
    const { pages } = this
    if (pages?.next == null || this.loading.isBusy || this.paging.isBusy) return
    if (!isAsked && (this.paging.state.type !== 'idle' || this.#emptyPages >= MAX_EMPTY_PAGES)) return
    if (isAsked) this.#emptyPages = 0
    await this.paging.run((signal) => this.#fetchNext(pages, signal))
  }

  async #go(place: Place, trail: Trail, cameFrom: string | null = null): Promise<void> {
    this.place = place
    this.trail = trail
    this.pages = null
    this.cameFrom = cameFrom
    this.isRestarted = false
    await this.#load(false)
  }

  async #load(refresh: boolean): Promise<void> {
    const { place } = this
    if (place === null) return
    this.paging.stop()
    this.#emptyPages = 0
    await this.loading.run(async (signal) => {
      const listing = await this.#api().list(place, { limit: this.#limit(), refresh }, signal)
      signal.throwIfAborted()
      const pages = new FolderPages()
      pages.add(listing)
      this.pages = pages
      this.trail = told(this.trail, listing.folder)
    })
  }

  async #fetchNext(pages: FolderPages, signal: AbortSignal): Promise<void> {
    const { place } = this
    if (place === null || pages.next === null) return
    try {
      const listing = await this.#api().list(place, { cursor: pages.next, limit: this.#limit() }, signal)
      signal.throwIfAborted()
      this.#emptyPages = listing.entries.length === 0 ? this.#emptyPages + 1 : 0
      pages.add(listing)
    } catch (error) {
      // Reload once. If a cursor fails again after that, leave the decision to the user.
      if (!(error instanceof PickerProblem) || !LOST_CURSOR.has(error.code) || this.isRestarted) throw error
      this.isRestarted = true
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
    this.#gather()
  }

  /** Inserts a new entry at its position by name. */
  insert(entry: Entry): void {
    const group = this.#groupOf(entry)
    const others = [...group.values()].filter(({ id }) => id !== entry.id)
    const found = this.#isSorted ? others.findIndex(({ name }) => collator.compare(name, entry.name) > 0) : -1
    others.splice(found === -1 ? others.length : found, 0, entry)
    group.clear()
    for (const each of others) group.set(each.id, each)
    this.#gather()
  }

  #groupOf(entry: Entry): Map<string, Entry> {
    return isContainer(entry) ? this.#containers : this.#others
  }

  #gather(): void {
    this.entries = [...this.#containers.values(), ...this.#others.values()]
  }
}

/** One step of the path to a folder. `name` is `null` until a listing provides it. */
export interface Crumb {
  readonly id: string | null
  readonly name: string | null
}

/** The path from the root of a connection to the current folder. It always contains the root. */
export type Trail = readonly Crumb[]

/** @param folderId `null` for the root itself */
export function trailTo(root: string, folderId: string | null): Trail {
  const crumbs: Crumb[] = [{ id: null, name: root }]
  if (folderId !== null) crumbs.push({ id: folderId, name: null })
  return crumbs
}

/**
 * Adds the name of the last step from a listing. If the user started in the middle of a tree, the parent is missing:
 * it is inserted without a name, so that the user can navigate up.
 */
export function told(trail: Trail, { id, name, parentId }: FolderInfo): Trail {
  const last = trail.at(-1)
  if (last === undefined || last.id === null || last.name !== null) return trail
  const above = trail.slice(0, -1)
  if (trail.length === 2 && parentId !== null && parentId !== id) above.push({ id: parentId, name: null })
  return [...above, { id: last.id, name }]
}
