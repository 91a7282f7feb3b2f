import { setMaxListeners } from 'node:events'
import type { FolderCache } from './folder-cache.ts'
import type { Fetch } from './folder-cache-options.ts'
import type { FolderKey } from './folder-key.ts'
import type { RenderedListing } from './rendered-listing.ts'

/** So many pages are loaded ahead at a time, of all users; of one user it is one. */
const MAX_IN_FLIGHT = 16

/**
 * Loads the page after the one that a reader has just been given, so that it is there when it is asked for. What is
 * loaded ahead is checked like all that is kept, when it is given to somebody.
 */
export class ReadAhead {
  readonly #cache: Pick<FolderCache, 'fetchAhead'>
  readonly #users = new Set<string>()
  readonly #fetches = new Set<Promise<unknown>>()
  readonly #stopped = new AbortController()

  constructor(cache: Pick<FolderCache, 'fetchAhead'>) {
    this.#cache = cache
    // Node 20 takes more than ten of them for a leak, and warns.
    setMaxListeners(MAX_IN_FLIGHT, this.#stopped.signal)
  }

  /** Once for each page; where too much is under way, not at all. */
  begin(listing: RenderedListing, key: FolderKey, fetch: Fetch<RenderedListing>): void {
    const { userId } = key
    if (this.#stopped.signal.aborted || this.#users.size >= MAX_IN_FLIGHT || this.#users.has(userId)) return
    if (!listing.begin('next')) return
    this.#users.add(userId)
    // At once, whichever way it ends: a reader who has joined it is answered right after, and goes on to the next page.
    const end = (): void => {
      this.#users.delete(userId)
    }
    // Whoever asks for the page joins it, or tries for itself and is told what was wrong.
    void this.#cache.fetchAhead(key, this.#watched(fetch), this.#stopped.signal).then(end, end)
  }

  /** Begins nothing any more, aborts the fetches that no reader has joined, and resolves when all have ended. */
  async close(): Promise<void> {
    this.#stopped.abort(new Error('The server is shutting down'))
    await Promise.allSettled(this.#fetches)
  }

  /** An aborted fetch goes on until its last step, a read of the database for one, has ended. */
  #watched(fetch: Fetch<RenderedListing>): Fetch<RenderedListing> {
    return (signal, aged) => {
      const fetched = fetch(signal, aged)
      this.#fetches.add(fetched)
      const forget = (): void => {
        this.#fetches.delete(fetched)
      }
      fetched.then(forget, forget)
      return fetched
    }
  }
}
