import { LRUCache } from 'lru-cache'
import { StorageError } from '../domain/errors.ts'
import type { Clock } from '../domain/ports.ts'

const WINDOW_MS = 60_000
/** A user who is forgotten because so many others refreshed since then starts a new minute. */
const MAX_USERS = 10_000

/** How often one user may go past the cache: so many times in a minute that begins with the first. */
export class RefreshLimit {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #windows = new LRUCache<string, { count: number; readonly startedAt: number }>({ max: MAX_USERS })

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** @throws StorageError `TOO_MANY_REQUESTS` with the rest of the minute */
  take(userId: string): void {
    const now = this.#clock.now()
    let window = this.#windows.get(userId)
    if (window === undefined || now - window.startedAt >= WINDOW_MS) {
      window = { count: 0, startedAt: now }
      this.#windows.set(userId, window)
    }
    if (window.count >= this.#perMinute) {
      throw new StorageError('TOO_MANY_REQUESTS', 'Too many refreshes: wait a while.', {
        retryAfterMs: window.startedAt + WINDOW_MS - now
      })
    }
    window.count += 1
  }
}
