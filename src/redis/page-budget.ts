import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/time.ts'
import { type RedisGate, UNAVAILABLE } from './gate.ts'

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

/** Lifetime of a lock after its last extension. The owner extends it three times in that time. */
const LOCK_TTL_MS = 2_000
const EXTEND_SCRIPT = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`
const RELEASE_SCRIPT = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`

/**
 * The lock of a process that loads a page for all. An optimisation only: a process that was paused or disconnected
 * may assume that it still holds a lock that another one has taken. The page is then loaded twice.
 */
export class PageLock {
  readonly #gate: RedisGate
  readonly #name: string
  readonly #token: string
  readonly #timer: NodeJS.Timeout

  private constructor(gate: RedisGate, name: string, token: string) {
    this.#gate = gate
    this.#name = name
    this.#token = token
    this.#timer = setInterval(() => {
      void gate.run((redis) => redis.eval(EXTEND_SCRIPT, 1, name, token, String(LOCK_TTL_MS)))
    }, LOCK_TTL_MS / 3)
    this.#timer.unref()
  }

  /** Returns `null` if another process holds the lock. */
  static async acquire(gate: RedisGate, name: string): Promise<PageLock | null | typeof UNAVAILABLE> {
    const token = randomBytes(12).toString('base64url')
    const reply = await gate.run((redis) => redis.set(name, token, 'PX', LOCK_TTL_MS, 'NX'))
    if (reply === UNAVAILABLE) return UNAVAILABLE
    return reply === null ? null : new PageLock(gate, name, token)
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#gate.run((redis) => redis.eval(RELEASE_SCRIPT, 1, this.#name, this.#token))
  }
}
