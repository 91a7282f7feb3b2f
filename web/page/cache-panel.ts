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

interface Kept {
  /** When the response was made, by the local clock. */
  readonly madeAt: number
  /** `null` while the server's cache lifetime is unknown. */
  readonly endsAt: number | null
}

const LISTING = /\/listing$/

/**
 * The state of the server's cache, derived from response headers alone: of the listings that this page has requested
 * since it was opened. Entries that the server has evicted are noticed only at the next request.
 */
export class CacheWatch {
  hits = 0
  misses = 0
  last: CacheStatus | null = null
  readonly #clock: Clock
  /** By request key. */
  readonly #kept = new Map<string, Kept>()
  #shown: { readonly madeAt: number } | null = null
  /** The server's cache lifetime for listings. The first hit reveals it. */
  #lifetimeMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns whether it was a listing response with a Cache-Status header */
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
    // Further pages are appended to the first one on the screen and do not replace it.
    if (!searchParams.has('cursor')) this.#shown = { madeAt }
    return true
  }

  /** The number of distinct listings that the server still caches. */
  get entries(): number {
    const now = this.#clock.now()
    for (const [key, { madeAt, endsAt }] of this.#kept) {
      const end = endsAt ?? (this.#lifetimeMs === null ? Infinity : madeAt + this.#lifetimeMs)
      if (end <= now) this.#kept.delete(key)
    }
    return this.#kept.size
  }

  /** The age of the displayed listing; `null` if there is none. */
  get ageMs(): number | null {
    return this.#shown === null ? null : this.#clock.now() - this.#shown.madeAt
  }
}

/** Returns the request key. `refresh` is ignored, because it refers to the same listing. */
function keyOf(pathname: string, parameters: URLSearchParams): string {
  const asked = new URLSearchParams(parameters)
  asked.delete('refresh')
  asked.sort()
  return `${pathname}?${asked.toString()}`
}
