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
