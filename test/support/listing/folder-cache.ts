import { FolderCache } from '../../../src/cache/folder-cache.ts'
import type { FolderCacheOptions, FolderKey } from '../../../src/cache/types.ts'
import { ManualClock } from '../time/clock.ts'
import { Deferred } from '../time/deferred.ts'

/** A cache that is large enough for tests, with a manual clock. */
export function createTestCache(options: Partial<FolderCacheOptions> = {}) {
  const clock = new ManualClock()
  const cache = new FolderCache({
    max: 1000,
    ttlMs: 60_000,
    maxBytes: 1 << 20,
    maxInFlightPerUser: 32,
    clock,
    ...options
  })
  return { clock, cache }
}

export function folderKey(overrides: Partial<FolderKey> = {}): FolderKey {
  return { userId: 'ann', provider: 's3', folderId: 'docs/', connectionId: 'c1', ...overrides }
}

export const mustNotFetch = () => Promise.reject(new Error('must not be fetched'))

/** A fetch function, with pending calls that the test settles. */
export function fetcher<T>() {
  const calls: { signal: AbortSignal; result: Deferred<T> }[] = []
  const fetch = (signal: AbortSignal) => {
    const result = new Deferred<T>()
    calls.push({ signal, result })
    return result.promise
  }
  return { calls, fetch }
}
