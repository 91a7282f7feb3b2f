import type { Clock } from '../picker/clock.ts'

/** The Cache-Status header of a response (RFC 9211). */
export interface CacheStatus {
  readonly isHit: boolean
  /** Whether the server has stored the response for later requests. */
  readonly isStored: boolean
  /** The remaining lifetime of the cached response; `null` if the header does not give it. */
  readonly ttlMs: number | null
  /** The age of the response when it was sent. */
  readonly ageMs: number
  /** The header value. */
  readonly text: string
}

/** @returns `null` for a response without the header */
export function readCacheStatus(headers: Pick<Headers, 'get'>): CacheStatus | null {
  const text = headers.get('cache-status')
  if (text === null) return null
  const parameters = new Map(
    text
      .split(';')
      .slice(1)
      .map((item) => {
        const [name = '', value = ''] = item.trim().split('=', 2)
        return [name, value] as const
      })
  )
  const isHit = parameters.has('hit')
  return {
    isHit,
    isStored: isHit || parameters.has('stored'),
    ttlMs: toMs(parameters.get('ttl')),
    ageMs: toMs(headers.get('age')) ?? 0,
    text
  }
}

function toMs(seconds: string | null | undefined): number | null {
  return seconds != null && /^\d{1,9}$/.test(seconds) ? Number(seconds) * 1000 : null
}

interface CachedListing {
  /** When the response was made, by the local clock. */
  readonly createdAt: number
  /** `null` while the server's cache lifetime is unknown. */
  readonly expiresAt: number | null
}

const LISTING = /\/listing$/

/**
 * The state of the server's cache, derived from response headers alone: of the listings that this page has requested
 * since it was opened. Entries that the server has evicted are noticed only at the next request.
 */
export class CacheMonitor {
  hits = 0
  misses = 0
  last: CacheStatus | null = null
  readonly #clock: Clock
  /** By request key. */
  readonly #cached = new Map<string, CachedListing>()
  #displayed: { readonly createdAt: number } | null = null
  /** The server's cache lifetime for listings. The first hit reveals it. */
  #lifetimeMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns whether it was a listing response with a Cache-Status header */
  record(url: string, headers: Pick<Headers, 'get'>): boolean {
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
    const createdAt = now - ageMs
    if (isStored) this.#cached.set(key, { createdAt, expiresAt: ttlMs === null ? null : now + ttlMs })
    else this.#cached.delete(key)
    // Further pages are appended to the first one on the screen and do not replace it.
    if (!searchParams.has('cursor')) this.#displayed = { createdAt }
    return true
  }

  /** The number of distinct listings that the server still caches. */
  get entries(): number {
    const now = this.#clock.now()
    for (const [key, { createdAt, expiresAt }] of this.#cached) {
      const end = expiresAt ?? (this.#lifetimeMs === null ? Infinity : createdAt + this.#lifetimeMs)
      if (end <= now) this.#cached.delete(key)
    }
    return this.#cached.size
  }

  /** The age of the displayed listing; `null` if there is none. */
  get ageMs(): number | null {
    return this.#displayed === null ? null : this.#clock.now() - this.#displayed.createdAt
  }
}

/** Returns the request key. `refresh` is ignored, because it refers to the same listing. */
function keyOf(pathname: string, parameters: URLSearchParams): string {
  const query = new URLSearchParams(parameters)
  query.delete('refresh')
  query.sort()
  return `${pathname}?${query.toString()}`
}
