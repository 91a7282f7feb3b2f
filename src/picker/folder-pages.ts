import type { Entry, FolderInfo, IncompleteReason, Listing } from '../domain/entry.ts'
import { isContainer } from './entry-rules.ts'

const collator = new Intl.Collator(undefined, { numeric: true })

/** What is loaded of one folder: folders first, and else in the order in which it came. */
export class FolderPages {
  folder: FolderInfo | null = null
  next: string | null = null
  /** Why this is not all of the folder, or `null` where it is. The worst that any page said. */
  reason: IncompleteReason | null = null
  /** Changes whenever the entries do. */
  entries: readonly Entry[] = []
  readonly #containers = new Map<string, Entry>()
  readonly #others = new Map<string, Entry>()
  #isSorted = false

  /** An entry that came before is taken as it comes now: there is one row of each. */
  add({ folder, entries, page }: Listing): void {
    this.folder ??= folder
    this.next = page.next
    this.#isSorted = page.order === 'folder-then-name'
    // "more" passes when the next page arrives; that something is missing does not.
    if (this.reason === null || this.reason === 'more') this.reason = page.reason
    for (const entry of entries) this.#groupOf(entry).set(entry.id, entry)
    this.#gather()
  }

  /** Shows what was made just now, where its name would stand. */
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
