import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/time.ts'

export interface PageBudgetOptions {
  readonly maxPagesPerUser: number
  readonly maxBytesPerUser: number
  /** Longest lifetime of a page in Redis. */
  readonly pageTtlMs: number
  /** Longest lifetime of a covered page. */
  readonly coveredTtlMs: number
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

/** Covered pages, which stay long, leave the other half to those that expire soon. */
const COVERED_SHARE = 0.5

/**
 * Limits the data that this instance stores in Redis for one user. Time is divided into windows of a page's lifetime:
 * at any moment a user's live pages were stored in the current window or the previous one.
 */
export class PageBudget {
  readonly #options: PageBudgetOptions
  readonly #usages = new LRUCache<string, Usage>({ max: MAX_USERS })
  readonly #coveredUsages = new LRUCache<string, Usage>({ max: MAX_USERS })

  constructor(options: PageBudgetOptions) {
    this.#options = options
  }

  /** Returns false, without counting the page, if it would exceed the user's budget. */
  tryReserve(userId: string, bytes: number, isCovered = false): boolean {
    const { maxPagesPerUser, maxBytesPerUser, pageTtlMs, coveredTtlMs } = this.#options
    const covered = this.#usageOf(this.#coveredUsages, userId, coveredTtlMs)
    const others = this.#usageOf(this.#usages, userId, pageTtlMs)
    const used = [covered, ...(isCovered ? [] : [others])].flatMap(({ previous, current }) => [previous, current])
    const share = isCovered ? COVERED_SHARE : 1
    const pages = used.reduce((sum, totals) => sum + totals.pages, 1)
    const size = used.reduce((sum, totals) => sum + totals.bytes, bytes)
    if (pages > maxPagesPerUser * share || size > maxBytesPerUser * share) return false
    const usage = isCovered ? covered : others
    const current = { pages: usage.current.pages + 1, bytes: usage.current.bytes + bytes }
    const usages = isCovered ? this.#coveredUsages : this.#usages
    usages.set(userId, { ...usage, current })
    return true
  }

  #usageOf(usages: LRUCache<string, Usage>, userId: string, windowMs: number): Usage {
    const window = Math.floor(this.#options.clock.now() / windowMs)
    const usage = usages.get(userId)
    if (usage?.window === window) return usage
    return { window, previous: usage?.window === window - 1 ? usage.current : NO_PAGES, current: NO_PAGES }
  }
}
