import Negotiator from 'negotiator'
import type { Encoding } from '../listing/rendered-listing.ts'

const CODED: readonly Encoding[] = ['br', 'gzip']
const OFFERED = [...CODED, 'identity']

/** Results by header value. Browsers send few distinct ones. Long or further values are parsed each time. */
const MAX_KNOWN = 64
const MAX_KNOWN_LENGTH = 128
const known = new Map<string, Encoding | null>()

/**
 * Returns the supported coding that the client prefers by `Accept-Encoding` (RFC 9110 section 12.5.3); `null` if it
 * is none of them. Of equally preferred codings, returns the one with the shortest output.
 */
export function acceptedEncoding(header: string | string[] | undefined): Encoding | null {
  if (typeof header !== 'string') return null
  const before = known.get(header)
  if (before !== undefined) return before
  const [best] = new Negotiator({ headers: { 'accept-encoding': header } }).encodings(OFFERED, { preferred: CODED })
  const encoding = CODED.find((coded) => coded === best) ?? null
  if (known.size < MAX_KNOWN && header.length <= MAX_KNOWN_LENGTH) known.set(header, encoding)
  return encoding
}
