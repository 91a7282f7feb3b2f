import type { Entry, EntryPage, IncompleteReason } from '../domain/entry.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import { PageChain } from './page-chain.ts'

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
