import type { Entry, EntryPage, IncompleteReason } from '../domain/entry.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import { PageChain } from './page-chain.ts'

/** How long a chain of pages may become. The page that reaches a limit is shown whole and is the last. */
export interface PageGuardLimits {
  readonly maxPages?: number
  readonly maxEntries?: number
}

/**
 * What a listing promises, whatever the provider says: its pages come to an end, none is larger than was asked for or
 * shows an entry twice, and `complete` is said only where nothing speaks against it. An entry that comes twice does: a
 * provider whose pages shift shows one of them again, or leaves one out.
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
      // The provider's cursor leads past what is cut off here.
      if (entries.length > call.limit)
        return end({ ...page, entries: entries.slice(0, call.limit) }, 'provider-partial')

      const shown = { ...page, entries }
      if (page.next === null && page.complete && page.reason === null && !isDoubled) return shown
      // An empty cursor would ask for the first page again.
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

/** Whether a page shows what was shown before, under a cursor that was not. */
function isRepeat(chain: PageChain, told: readonly Entry[], fresh: readonly Entry[]): boolean {
  const [first, second] = told
  // A page of one may be news of an entry that was there before: then the pages behind it are as good as ever.
  return first !== undefined && second !== undefined && (fresh.length === 0 || chain.isRepeatedBy(first.id))
}

/** An id that comes twice is shown once, as it came first. */
function onceEach(entries: readonly Entry[]): readonly Entry[] {
  const ids = new Set(entries.map(({ id }) => id))
  return ids.size === entries.length ? entries : entries.filter(({ id }) => ids.delete(id))
}

function end(page: EntryPage, reason: IncompleteReason): EntryPage {
  return { ...page, next: null, complete: false, reason }
}

/**
 * Why a page without a next one does not end its folder. The backend's own reason wins, also over its own `complete`:
 * to say too little is better than too much. `more` would promise a cursor that is not there.
 */
function reasonOfEnd(reason: IncompleteReason | null): IncompleteReason {
  return reason === null || reason === 'more' ? 'provider-partial' : reason
}
