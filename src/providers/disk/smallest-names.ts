import { compareUtf8 } from '../shared/utf8-order.ts'

/** Keeps the `count` smallest of any number of names, in memory for at most twice as many. */
export class SmallestNames {
  readonly #count: number
  readonly #after: string | undefined
  #names: string[] = []
  /** Once `count` names are known, none that is not smaller than the largest of them matters. */
  #bound: string | undefined

  /** @param after only names behind this one */
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

  /** The names, in UTF-8 order. */
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
