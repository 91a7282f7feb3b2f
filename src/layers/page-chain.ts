import { createHash } from 'node:crypto'
import { StorageError } from '../domain/errors.ts'

/**
 * `1`, the form's number; pages and entries so far; the remembered cursor's hash and the first id behind it; the last
 * ids; whether one came twice; the provider's cursor.
 */
const FORM = /^1\.([0-9a-z]{1,9})\.([0-9a-z]{1,9})\.([\w-]{12})\.([\w-]{7})?\.((?:[\w-]{7}){0,16})\.([01])\.([^]+)$/
const DIGEST_LENGTH = 7
/** So many ids of a page are remembered for the next one. */
const MAX_RECENT = 16

/**
 * How far a chain of pages has come. Nothing of it is kept in the process, since the next page may be asked of another
 * one: it travels in the cursor, and takes as little room there as it can.
 *
 * Cycles are found as Brent's algorithm does, with one remembered cursor: each that follows is compared with it, and
 * after 1, 2, 4, 8… pages it is replaced. Once that many pages are as many as the cycle is long, and lie inside of it,
 * the remembered one comes by again. Brent's two counters follow from the number of pages. The first id of the page
 * behind it is remembered too: a provider may give the same pages under other cursors.
 *
 * Where pages shift, because something is added or removed meanwhile, the last entries of one are the first of the next:
 * these are remembered as well.
 */
export class PageChain {
  /** Pages so far. */
  readonly pages: number
  /** Entries on them. */
  readonly entries: number
  /** The provider's cursor of the next page; `undefined` for the first. */
  readonly cursor: string | undefined
  /** An id came twice. Another one may have been left out for it. */
  readonly isDoubled: boolean
  readonly #mark: string
  readonly #first: string
  readonly #recent: ReadonlySet<string>

  private constructor(
    counts: Pick<PageChain, 'pages' | 'entries' | 'isDoubled'>,
    seen: { readonly mark: string; readonly first: string; readonly recent: Iterable<string> },
    cursor: string | undefined
  ) {
    this.pages = counts.pages
    this.entries = counts.entries
    this.isDoubled = counts.isDoubled
    this.cursor = cursor
    this.#mark = seen.mark
    this.#first = seen.first
    this.#recent = new Set(seen.recent)
  }

  /** @throws StorageError `INVALID_CURSOR` for a text that {@link toCursor} did not make */
  static parse(text: string | undefined): PageChain {
    if (text === undefined) {
      return new PageChain({ pages: 0, entries: 0, isDoubled: false }, { mark: '', first: '', recent: [] }, undefined)
    }
    const [, pages = '', entries = '', mark = '', first = '', recent = '', doubled, cursor] = FORM.exec(text) ?? []
    if (cursor === undefined) throw new StorageError('INVALID_CURSOR', 'This cursor does not belong to a listing.')
    return new PageChain(
      { pages: Number.parseInt(pages, 36), entries: Number.parseInt(entries, 36), isDoubled: doubled === '1' },
      { mark, first, recent: recent.match(/.{7}/g) ?? [] },
      cursor
    )
  }

  /** Whether the id was among the last of the page before. */
  hasSeen(id: string): boolean {
    return this.#recent.size > 0 && this.#recent.has(digestOf(id))
  }

  /** Whether a page that begins with this id has come before, as far as that is remembered. */
  isRepeatedBy(id: string): boolean {
    return this.#first !== '' && this.#first === digestOf(id)
  }

  /** The chain after one more page, the provider's next cursor of which has not come before; else `null`. */
  extend(ids: readonly string[], next: string, isDoubled: boolean): PageChain | null {
    const hash = hashOf(next)
    // The cursor itself is at hand, so that the commonest cycle is found at its first turn.
    if (next === this.cursor || hash === this.#mark) return null
    const pages = this.pages + 1
    const [first] = ids
    const isMark = isPowerOfTwo(pages)
    return new PageChain(
      { pages, entries: this.entries + ids.length, isDoubled },
      {
        mark: isMark ? hash : this.#mark,
        first: isMark ? (first === undefined ? '' : digestOf(first)) : this.#first,
        recent: ids.length === 0 ? this.#recent : ids.slice(-MAX_RECENT).map(digestOf)
      },
      next
    )
  }

  /** The cursor of the next page, for the caller. */
  toCursor(): string {
    const counts = `${this.pages.toString(36)}.${this.entries.toString(36)}`
    const seen = `${this.#mark}.${this.#first}.${[...this.#recent].join('')}`
    return `1.${counts}.${seen}.${this.isDoubled ? '1' : '0'}.${this.cursor ?? ''}`
  }
}

/** 72 bits: by chance no two meet, and a provider that makes two of its cursors meet ends its own listing. */
function hashOf(cursor: string): string {
  return createHash('sha256').update(cursor).digest().subarray(0, 9).toString('base64url')
}

/** 42 bits: of a million entries one is taken for another in one of two hundred thousand listings or so. */
function digestOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, DIGEST_LENGTH)
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count))
}
