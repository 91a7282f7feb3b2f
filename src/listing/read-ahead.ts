import { setMaxListeners } from 'node:events'
import type { FolderCache } from '../cache/folder-cache.ts'
import type { Fetch, FolderKey } from '../cache/types.ts'
import type { RenderedListing } from './rendered-listing.ts'

/** Pages loaded ahead at a time for all users. Each user has at most one. */
const MAX_IN_FLIGHT = 16

/**
 * Loads the page after the one that was just returned, so that it is cached when the reader requests it. Its
 * connection is checked on that request, as for every cached page.
 */
export class ReadAhead {
  readonly #cache: Pick<FolderCache, 'fetchAhead'>
  readonly #users = new Set<string>()
  readonly #fetches = new Set<Promise<unknown>>()
  readonly #shutdown = new AbortController()

  constructor(cache: Pick<FolderCache, 'fetchAhead'>) {
    this.#cache = cache
    // Node 20 warns of a leak above ten listeners.
    setMaxListeners(MAX_IN_FLIGHT, this.#shutdown.signal)
  }

  /** Starts a load at most once per page; not while too many loads are in flight. */
  begin(listing: RenderedListing, key: FolderKey, fetch: Fetch<RenderedListing>): void {
    const { userId } = key
    if (this.#shutdown.signal.aborted || this.#users.size >= MAX_IN_FLIGHT || this.#users.has(userId)) return
    if (!listing.claim('next')) return
    this.#users.add(userId)
    // Without delay, however it ends: a reader that joined it is answered next and starts another read-ahead.
    const onSettled = (): void => {
      this.#users.delete(userId)
    }
    // A failure is ignored: a reader of the page joined it, or loads the page again and gets the error.
    void this.#cache.fetchAhead(key, this.#track(fetch), this.#shutdown.signal).then(onSettled, onSettled)
  }

  /** Starts no more loads, aborts those that no reader has joined, and resolves when all have ended. */
  async close(): Promise<void> {
    this.#shutdown.abort(new Error('The server is shutting down'))
    await Promise.allSettled(this.#fetches)
  }

  /** Tracks a fetch to its end: an aborted one continues until its current step, such as a query, has ended. */
  #track(fetch: Fetch<RenderedListing>): Fetch<RenderedListing> {
    return (signal, reportAge) => {
      const fetched = fetch(signal, reportAge)
      this.#fetches.add(fetched)
      const onSettled = (): void => {
        this.#fetches.delete(fetched)
      }
      fetched.then(onSettled, onSettled)
      return fetched
    }
  }
}
