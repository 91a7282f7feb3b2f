import { compareUtf8 } from '../shared/utf8-order.ts'

/** Collects the `count` smallest of any number of names, with at most twice as many in memory. */
export class SmallestNames {
  readonly #count: number
  readonly #after: string | undefined
  #names: string[] = []
  /** The largest of the first `count` names, once known. Names that are not smaller are ignored. */
  #bound: string | undefined

  /** @param after excludes names up to this one */
  constructor(count: number, after: string | undefined) {
    this.#count = count
    this.#after = after
  }

  offer(name: string): void {
    if (this.#after !== undefined && compareUtf8(name, this.#after) <= 0) return
    if (this.#bound !== undefined && compareUtf8(name, this.#bound) >= 0) return
    this.#names.push(name)
    if (this.#names.length >= 2 * this.#count) this.#cut()
  }

  /** Returns the names, in UTF-8 order. */
  take(): readonly string[] {
    this.#cut()
    return this.#names
  }

  #cut(): void {
    this.#names.sort(compareUtf8)
    this.#names.length = Math.min(this.#names.length, this.#count)
    if (this.#names.length === this.#count) this.#bound = this.#names.at(-1)
  }
}
