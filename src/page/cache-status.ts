/** What the server says of how its cache came to an answer (RFC 9211). */
export interface CacheStatus {
  readonly isHit: boolean
  /** It keeps the answer for later ones. */
  readonly isStored: boolean
  /** How much longer it keeps it; `null` where it does not say. */
  readonly ttlMs: number | null
  /** How old the answer was when it was sent. */
  readonly ageMs: number
  /** The header itself. */
  readonly text: string
}

/** @returns `null` for an answer that is none of a cache */
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
