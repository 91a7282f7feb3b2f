import type { Entry, FolderInfo, IncompleteReason, Listing } from '../domain/entry.ts'
import { isContainer } from './entry-rules.ts'

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
