import type { Clock } from '../picker/clock.ts'
import { type CacheStatus, readCacheStatus } from './cache-status.ts'

interface Kept {
  /** When the answer was made, by this clock. */
  readonly madeAt: number
  /** `null`: for as long as the server keeps things, which it has not said yet. */
  readonly endsAt: number | null
}

const LISTING = /\/listing$/

/**
 * What can be known of the server's cache from the headers of its answers alone: of the listings that this page has
 * asked for, since it was opened. What the server has dropped since is seen when it is asked again.
 */
export class CacheWatch {
  hits = 0
  misses = 0
  last: CacheStatus | null = null
  readonly #clock: Clock
  /** By what was asked. */
  readonly #kept = new Map<string, Kept>()
  #shown: { readonly madeAt: number } | null = null
  /** How long the server keeps a listing: the first hit tells. */
  #lifetimeMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns whether this was an answer of the cache */
  observe(url: string, headers: Pick<Headers, 'get'>): boolean {
    const { pathname, searchParams } = new URL(url)
    const status = LISTING.test(pathname) ? readCacheStatus(headers) : null
    if (status === null) return false
    this.last = status
    if (status.isHit) this.hits++
    else this.misses++
    const { ageMs, ttlMs, isStored } = status
    const now = this.#clock.now()
    if (ttlMs !== null) this.#lifetimeMs = ageMs + ttlMs
    const key = keyOf(pathname, searchParams)
    const madeAt = now - ageMs
    if (isStored) this.#kept.set(key, { madeAt, endsAt: ttlMs === null ? null : now + ttlMs })
    else this.#kept.delete(key)
    // Further pages join the first one on the screen.
    if (!searchParams.has('cursor')) this.#shown = { madeAt }
    return true
  }

  /** How many different listings the server still keeps. */
  get entries(): number {
    const now = this.#clock.now()
    for (const [key, { madeAt, endsAt }] of this.#kept) {
      const end = endsAt ?? (this.#lifetimeMs === null ? Infinity : madeAt + this.#lifetimeMs)
      if (end <= now) this.#kept.delete(key)
    }
    return this.#kept.size
  }

  /** How old the listing on the screen is; `null` where there is none. */
  get ageMs(): number | null {
    return this.#shown === null ? null : this.#clock.now() - this.#shown.madeAt
  }
}

/** To ask anew is to ask for the same. */
function keyOf(pathname: string, parameters: URLSearchParams): string {
  const asked = new URLSearchParams(parameters)
  asked.delete('refresh')
  asked.sort()
  return `${pathname}?${asked.toString()}`
}
