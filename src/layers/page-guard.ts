import { createHash } from 'node:crypto'
import type { Call, ListCall } from '../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../core/entry.ts'
import { StorageError } from '../errors.ts'
import type { CallRunner } from './layer.ts'

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
export function withPageGuard(next: CallRunner, limits: PageGuardLimits = {}): CallRunner {
  return async (method, call, run) => {
    if (method !== 'listFolder') return await next(method, call, run)
    call.signal.throwIfAborted()
    const { cursor, limit } = call as Call as ListCall
    const chain = PageChain.parse(cursor)
    const result = await next(method, chain.cursor === undefined ? call : { ...call, cursor: chain.cursor }, run)
    return guardPage(result as EntryPage, chain, limit, limits) as typeof result
  }
}

function guardPage(
  page: EntryPage,
  chain: PageChain,
  limit: number,
  { maxPages = 10_000, maxEntries = 1_000_000 }: PageGuardLimits
): EntryPage {
  const entries = dedupeById(page.entries).filter(({ id }) => !chain.hasSeen(id))
  const hasDuplicates = chain.hasDuplicates || entries.length < page.entries.length
  // The provider's cursor points past the entries that are cut off here.
  if (entries.length > limit) return endChain({ ...page, entries: entries.slice(0, limit) }, 'provider-partial')

  const dedupedPage = { ...page, entries }
  if (page.next === null && page.complete && page.reason === null && !hasDuplicates) return dedupedPage
  // An empty cursor would request the first page again.
  if (page.next === null || page.next === '') return endChain(dedupedPage, endReason(page.reason))
  const next = isRepeatedPage(chain, page.entries, entries)
    ? null
    : chain.extend(
        page.entries.map(({ id }) => id),
        page.next,
        hasDuplicates
      )
  if (next === null) return endChain(dedupedPage, 'duplicate-cursor')
  if (next.pageCount >= maxPages || next.entryCount >= maxEntries) return endChain(dedupedPage, 'page-cap')
  return { ...dedupedPage, next: next.toCursor(), complete: false, reason: page.reason ?? 'more' }
}

/** Returns true if the page repeats earlier entries under a new cursor. */
function isRepeatedPage(chain: PageChain, received: readonly Entry[], unseen: readonly Entry[]): boolean {
  const [first, second] = received
  // A page with one entry may repeat it legitimately because the entry has changed: the following pages are valid.
  return first !== undefined && second !== undefined && (unseen.length === 0 || chain.isSavedPageStart(first.id))
}

/** Removes repeated ids; the first occurrence stays. */
function dedupeById(entries: readonly Entry[]): readonly Entry[] {
  const ids = new Set(entries.map(({ id }) => id))
  return ids.size === entries.length ? entries : entries.filter(({ id }) => ids.delete(id))
}

function endChain(page: EntryPage, reason: IncompleteReason): EntryPage {
  return { ...page, next: null, complete: false, reason }
}

/**
 * Returns the reason why a page without a next one is incomplete. The backend's reason has priority, even over its
 * own `complete`: an understatement is safe. `more` would promise a cursor that does not exist.
 */
function endReason(reason: IncompleteReason | null): IncompleteReason {
  return reason === null || reason === 'more' ? 'provider-partial' : reason
}

/**
 * `1`, the format's version; the numbers of pages and entries so far; the hash of the remembered cursor and the first
 * id after it; the last ids; the flag for repeated ids; the provider's cursor.
 */
const CURSOR_FORMAT =
  /^1\.([0-9a-z]{1,9})\.([0-9a-z]{1,9})\.([\w-]{12})\.([\w-]{7})?\.((?:[\w-]{7}){0,16})\.([01])\.([^]+)$/
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
  readonly pageCount: number
  /** Number of entries on them. */
  readonly entryCount: number
  /** The provider's cursor of the next page; `undefined` for the first page. */
  readonly cursor: string | undefined
  /** An id occurred twice. Another entry may be missing in return. */
  readonly hasDuplicates: boolean
  readonly #savedHash: string
  readonly #savedFirstId: string
  readonly #recent: ReadonlySet<string>

  private constructor(
    counts: Pick<PageChain, 'pageCount' | 'entryCount' | 'hasDuplicates'>,
    seen: { readonly savedHash: string; readonly first: string; readonly recent: Iterable<string> },
    cursor: string | undefined
  ) {
    this.pageCount = counts.pageCount
    this.entryCount = counts.entryCount
    this.hasDuplicates = counts.hasDuplicates
    this.cursor = cursor
    this.#savedHash = seen.savedHash
    this.#savedFirstId = seen.first
    this.#recent = new Set(seen.recent)
  }

  /** @throws StorageError `INVALID_CURSOR` for a text that {@link toCursor} did not create */
  static parse(text: string | undefined): PageChain {
    if (text === undefined) {
      return new PageChain(
        { pageCount: 0, entryCount: 0, hasDuplicates: false },
        { savedHash: '', first: '', recent: [] },
        undefined
      )
    }
    const [, pageCount = '', entryCount = '', savedHash = '', first = '', recent = '', duplicates, cursor] =
      CURSOR_FORMAT.exec(text) ?? []
    if (cursor === undefined) throw new StorageError('INVALID_CURSOR', 'The cursor is invalid. List the folder again.')
    return new PageChain(
      {
        pageCount: Number.parseInt(pageCount, 36),
        entryCount: Number.parseInt(entryCount, 36),
        hasDuplicates: duplicates === '1'
      },
      { savedHash, first, recent: recent.match(/.{7}/g) ?? [] },
      cursor
    )
  }

  /** Returns true if the id was among the last of the previous page. */
  hasSeen(id: string): boolean {
    return this.#recent.size > 0 && this.#recent.has(digestOf(id))
  }

  /** Returns true if the remembered page began with this id. */
  isSavedPageStart(id: string): boolean {
    return this.#savedFirstId !== '' && this.#savedFirstId === digestOf(id)
  }

  /** Returns the chain after one more page; `null` if the provider's next cursor has occurred before. */
  extend(ids: readonly string[], next: string, hasDuplicates: boolean): PageChain | null {
    const hash = hashOf(next)
    // Comparing the current cursor itself finds the commonest cycle, of length one, in its first round.
    if (next === this.cursor || hash === this.#savedHash) return null
    const pageCount = this.pageCount + 1
    const [first] = ids
    const isSaved = isPowerOfTwo(pageCount)
    return new PageChain(
      { pageCount, entryCount: this.entryCount + ids.length, hasDuplicates },
      {
        savedHash: isSaved ? hash : this.#savedHash,
        first: isSaved ? (first === undefined ? '' : digestOf(first)) : this.#savedFirstId,
        recent: ids.length === 0 ? this.#recent : ids.slice(-MAX_RECENT).map(digestOf)
      },
      next
    )
  }

  /** Returns the caller's cursor of the next page. */
  toCursor(): string {
    const counts = `${this.pageCount.toString(36)}.${this.entryCount.toString(36)}`
    const seen = `${this.#savedHash}.${this.#savedFirstId}.${[...this.#recent].join('')}`
    return `1.${counts}.${seen}.${this.hasDuplicates ? '1' : '0'}.${this.cursor ?? ''}`
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
