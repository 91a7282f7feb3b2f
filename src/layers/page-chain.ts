import { createHash } from 'node:crypto'
import { StorageError } from '../domain/errors.ts'

/** `0`, the form's number; pages and entries so far, the remembered cursor's hash, the provider's cursor. */
const FORM = /^0\.([0-9a-z]{1,9})\.([0-9a-z]{1,9})\.([\w-]{12})\.([^]+)$/

/**
 * How far a chain of pages has come. Nothing of it is kept in the process, since the next page may be asked of another
 * one: it travels in the cursor, and takes as little room there as it can.
 *
 * Cycles are found as Brent's algorithm does, with one remembered cursor: each that follows is compared with it, and
 * after 1, 2, 4, 8… pages it is replaced. Once that many pages are as many as the cycle is long, and lie inside of it,
 * the remembered one comes by again. Brent's two counters follow from the number of pages.
 */
export class PageChain {
  /** Pages so far. */
  readonly pages: number
  /** Entries on them. */
  readonly entries: number
  /** The provider's cursor of the next page; `undefined` for the first. */
  readonly cursor: string | undefined
  readonly #mark: string

  private constructor(pages: number, entries: number, mark: string, cursor: string | undefined) {
    this.pages = pages
    this.entries = entries
    this.cursor = cursor
    this.#mark = mark
  }

  /** @throws StorageError `INVALID_CURSOR` for a text that {@link toCursor} did not make */
  static parse(text: string | undefined): PageChain {
    if (text === undefined) return new PageChain(0, 0, '', undefined)
    const [, pages = '', entries = '', mark = '', cursor] = FORM.exec(text) ?? []
    if (cursor === undefined) throw new StorageError('INVALID_CURSOR', 'This cursor does not belong to a listing.')
    return new PageChain(Number.parseInt(pages, 36), Number.parseInt(entries, 36), mark, cursor)
  }

  /** The chain after one more page, the provider's next cursor of which has not come before; else `null`. */
  extend(entries: number, next: string): PageChain | null {
    const hash = hashOf(next)
    // The cursor itself is at hand, so that the commonest cycle is found at its first turn.
    if (next === this.cursor || hash === this.#mark) return null
    const pages = this.pages + 1
    return new PageChain(pages, this.entries + entries, isPowerOfTwo(pages) ? hash : this.#mark, next)
  }

  /** The cursor of the next page, for the caller. */
  toCursor(): string {
    return `0.${this.pages.toString(36)}.${this.entries.toString(36)}.${this.#mark}.${this.cursor ?? ''}`
  }
}

/** 72 bits: by chance no two meet, and a provider that makes two of its cursors meet ends its own listing. */
function hashOf(cursor: string): string {
  return createHash('sha256').update(cursor).digest().subarray(0, 9).toString('base64url')
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count))
}
