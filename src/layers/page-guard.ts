import { createHash } from 'node:crypto'
import type { StorageBackend } from '../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../core/entry.ts'
import { StorageError } from '../errors.ts'
import { aroundEach } from './layer.ts'

/** Limits of a chain of pages. The page that reaches a limit is returned whole and is the last one. */
export interface PageGuardLimits {
  readonly maxPages?: number
  readonly maxEntries?: number
}

/**
 * Enforces the contract of listings, whatever the provider returns: chains of pages end, no page exceeds the limit or
 * repeats an entry, and `complete` is true only without evidence to the contrary. A repeated entry is such evidence:
 * a provider with shifting pages repeats entries or omits them.
 */
export function withPageGuard(backend: StorageBackend, limits: PageGuardLimits = {}): StorageBackend {
  const { maxPages = 10_000, maxEntries = 1_000_000 } = limits
  return {
    ...aroundEach(backend, async (_call, signal, run) => await run(signal)),
    async listFolder(folderId, call) {
      call.signal.throwIfAborted()
      const chain = PageChain.parse(call.cursor)
      const page = await backend.listFolder(folderId, {
        ...call,
        ...(chain.cursor !== undefined && { cursor: chain.cursor })
      })
      const entries = onceEach(page.entries).filter(({ id }) => !chain.hasSeen(id))
      const isDoubled = chain.isDoubled || entries.length < page.entries.length
      // The provider's cursor points past the entries that are cut off here.
      if (entries.length > call.limit)
        return end({ ...page, entries: entries.slice(0, call.limit) }, 'provider-partial')

      const shown = { ...page, entries }
      if (page.next === null && page.complete && page.reason === null && !isDoubled) return shown
      // An empty cursor would request the first page again.
      if (page.next === null || page.next === '') return end(shown, reasonOfEnd(page.reason))
      const next = isRepeat(chain, page.entries, entries)
        ? null
        : chain.extend(
            page.entries.map(({ id }) => id),
            page.next,
            isDoubled
          )
      if (next === null) return end(shown, 'duplicate-cursor')
      if (next.pages >= maxPages || next.entries >= maxEntries) return end(shown, 'page-cap')
      return { ...shown, next: next.toCursor(), complete: false, reason: page.reason ?? 'more' }
    }
  }
}

/** Returns true if the page repeats earlier entries under a new cursor. */
function isRepeat(chain: PageChain, told: readonly Entry[], fresh: readonly Entry[]): boolean {
  const [first, second] = told
  // A page with one entry may repeat it legitimately because the entry has changed: the following pages are valid.
  return first !== undefined && second !== undefined && (fresh.length === 0 || chain.isRepeatedBy(first.id))
}

/** Removes repeated ids; the first occurrence stays. */
function onceEach(entries: readonly Entry[]): readonly Entry[] {
  const ids = new Set(entries.map(({ id }) => id))
  return ids.size === entries.length ? entries : entries.filter(({ id }) => ids.delete(id))
}

function end(page: EntryPage, reason: IncompleteReason): EntryPage {
  return { ...page, next: null, complete: false, reason }
}

/**
 * Returns the reason why a page without a next one is incomplete. The backend's reason has priority, even over its
 * own `complete`: an understatement is safe. `more` would promise a cursor that does not exist.
 */
function reasonOfEnd(reason: IncompleteReason | null): IncompleteReason {
  return reason === null || reason === 'more' ? 'provider-partial' : reason
}

/**
 * `1`, the format's version; the numbers of pages and entries so far; the hash of the remembered cursor and the first
 * id after it; the last ids; the flag for repeated ids; the provider's cursor.
 */
const FORM = /^1\.([0-9a-z]{1,9})\.([0-9a-z]{1,9})\.([\w-]{12})\.([\w-]{7})?\.((?:[\w-]{7}){0,16})\.([01])\.([^]+)$/
const DIGEST_LENGTH = 7
/** Ids of a page that are remembered for the next one. */
const MAX_RECENT = 16

/**
 * The state of a chain of pages. It is stored in the cursor and not in the process, since another process may serve
 * the next page. It is therefore kept as short as possible.
 *
 * Cycles are found with Brent's algorithm and one remembered cursor: each following cursor is compared with it, and
 * it is replaced after 1, 2, 4, 8… pages. Once the remembered cursor is inside the cycle and this interval is at
 * least the length of the cycle, it occurs again. Brent's two counters follow from the number of pages. The first id
 * of the page after the cursor is remembered too: a provider may return the same pages under other cursors.
 *
 * If entries are added or removed meanwhile and pages shift, the last entries of one page are the first of the next.
 * Therefore the last ids are remembered as well.
 */
export class PageChain {
  /** Number of pages so far. */
  readonly pages: number
  /** Number of entries on them. */
  readonly entries: number
  /** The provider's cursor of the next page; `undefined` for the first page. */
  readonly cursor: string | undefined
  /** An id occurred twice. Another entry may be missing in return. */
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

  /** @throws StorageError `INVALID_CURSOR` for a text that {@link toCursor} did not create */
  static parse(text: string | undefined): PageChain {
    if (text === undefined) {
      return new PageChain({ pages: 0, entries: 0, isDoubled: false }, { mark: '', first: '', recent: [] }, undefined)
    }
    const [, pages = '', entries = '', mark = '', first = '', recent = '', doubled, cursor] = FORM.exec(text) ?? []
    if (cursor === undefined) throw new StorageError('INVALID_CURSOR', 'The cursor is invalid. List the folder again.')
    return new PageChain(
      { pages: Number.parseInt(pages, 36), entries: Number.parseInt(entries, 36), isDoubled: doubled === '1' },
      { mark, first, recent: recent.match(/.{7}/g) ?? [] },
      cursor
    )
  }

  /** Returns true if the id was among the last of the previous page. */
  hasSeen(id: string): boolean {
    return this.#recent.size > 0 && this.#recent.has(digestOf(id))
  }

  /** Returns true if the remembered page began with this id. */
  isRepeatedBy(id: string): boolean {
    return this.#first !== '' && this.#first === digestOf(id)
  }

  /** Returns the chain after one more page; `null` if the provider's next cursor has occurred before. */
  extend(ids: readonly string[], next: string, isDoubled: boolean): PageChain | null {
    const hash = hashOf(next)
    // Comparing the current cursor itself finds the commonest cycle, of length one, in its first round.
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

  /** Returns the caller's cursor of the next page. */
  toCursor(): string {
    const counts = `${this.pages.toString(36)}.${this.entries.toString(36)}`
    const seen = `${this.#mark}.${this.#first}.${[...this.#recent].join('')}`
    return `1.${counts}.${seen}.${this.isDoubled ? '1' : '0'}.${this.cursor ?? ''}`
  }
}

/** 72 bits: no accidental collisions, and a provider that forges one only ends its own listing. */
function hashOf(cursor: string): string {
  return createHash('sha256').update(cursor).digest().subarray(0, 9).toString('base64url')
}

/** 42 bits: in a listing of a million entries, the chance that one is mistaken for another is about 1 in 200,000. */
function digestOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, DIGEST_LENGTH)
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count))
}
