import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/time.ts'

export interface PageBudgetOptions {
  readonly maxPagesPerUser: number
  readonly maxBytesPerUser: number
  /** Longest lifetime of a page in Redis. */
  readonly pageTtlMs: number
  readonly clock: Clock
}

interface PageTotals {
  readonly pages: number
  readonly bytes: number
}

interface Usage {
  readonly window: number
  readonly previous: PageTotals
  readonly current: PageTotals
}

const NO_PAGES: PageTotals = { pages: 0, bytes: 0 }
/** A user that is evicted after this many others stored pages starts with a full budget. */
const MAX_USERS = 10_000

/**
 * Limits the data that this instance stores in Redis for one user. Time is divided into windows of a page's lifetime:
 * at any moment a user's live pages were stored in the current window or the previous one.
 */
export class PageBudget {
  readonly #options: PageBudgetOptions
  readonly #usages = new LRUCache<string, Usage>({ max: MAX_USERS })

  constructor(options: PageBudgetOptions) {
    this.#options = options
  }

  /** Returns false, without counting the page, if it would exceed the user's budget. */
  tryReserve(userId: string, bytes: number): boolean {
    const { maxPagesPerUser, maxBytesPerUser, pageTtlMs, clock } = this.#options
    const window = Math.floor(clock.now() / pageTtlMs)
    const usage = this.#usages.get(userId)
    const current = usage?.window === window ? usage.current : NO_PAGES
    const previous = usage?.window === window ? usage.previous : usage?.window === window - 1 ? usage.current : NO_PAGES
    const next = { pages: current.pages + 1, bytes: current.bytes + bytes }
    if (previous.pages + next.pages > maxPagesPerUser || previous.bytes + next.bytes > maxBytesPerUser) return false
    this.#usages.set(userId, { window, previous, current: next })
    return true
  }
}
