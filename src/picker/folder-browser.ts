import type { Entry } from '../domain/entry.ts'
import { folderBehind } from './entry-rules.ts'
import { FolderPages } from './folder-pages.ts'
import type { PickerApi, Place } from './picker-api.ts'
import { PickerProblem } from './problem.ts'
import { Task, type TaskOptions } from './task.ts'
import { type Trail, told, trailTo } from './trail.ts'

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
