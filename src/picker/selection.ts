import type { Entry } from '../domain/entry.ts'

/** The selected entries, in the order of selection. */
export class Selection {
  isMultiple = false
  readonly #chosen = new Map<string, Entry>()
  readonly #onChange: () => void
  /** The start of a range selection. */
  #anchorId: string | null = null

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get entries(): readonly Entry[] {
    return [...this.#chosen.values()]
  }

  get size(): number {
    return this.#chosen.size
  }

  has(id: string): boolean {
    return this.#chosen.has(id)
  }

  /** Selects only this entry. */
  replace(entry: Entry): void {
    this.#anchorId = entry.id
    this.#set([entry])
  }

  toggle(entry: Entry): void {
    this.#anchorId = entry.id
    if (this.has(entry.id)) this.#set(this.entries.filter(({ id }) => id !== entry.id))
    else this.#set(this.isMultiple ? [...this.entries, entry] : [entry])
  }

  /** Selects the range from the last selected entry to `id`, both inclusive. */
  extendTo(id: string, selectable: readonly Entry[]): void {
    const to = selectable.findIndex((entry) => entry.id === id)
    const entry = selectable[to]
    if (entry === undefined) return
    const anchor = selectable.findIndex((each) => each.id === this.#anchorId)
    const from = anchor === -1 ? to : anchor
    if (!this.isMultiple) this.replace(entry)
    else this.#set(selectable.slice(Math.min(from, to), Math.max(from, to) + 1))
    this.#anchorId = selectable[from]?.id ?? id
  }

  /** Selects all entries, or none if all are already selected. */
  toggleAll(entries: readonly Entry[]): void {
    if (!this.isMultiple) return
    this.#set(entries.every(({ id }) => this.has(id)) ? [] : entries)
  }

  /** Removes entries that `isKept` rejects, after the filter or the folder has changed. */
  keep(isKept: (entry: Entry) => boolean): void {
    this.#set(this.entries.filter(isKept))
  }

  #set(entries: readonly Entry[]): void {
    const isSame = entries.length === this.size && entries.every(({ id }) => this.has(id))
    this.#chosen.clear()
    for (const entry of entries) this.#chosen.set(entry.id, entry)
    if (!isSame) this.#onChange()
  }
}
