import '@fastify/sensible'
import type { FastifyReply } from 'fastify'
import Negotiator from 'negotiator'
import type { Encoding } from '../listing/rendered-listing.ts'

const COMPRESSIONS: readonly Encoding[] = ['br', 'gzip']
const SUPPORTED_ENCODINGS = [...COMPRESSIONS, 'identity']

/** Results by header value. Browsers send few distinct ones. Long or further values are parsed each time. */
const MAX_CACHED_HEADERS = 64
const MAX_CACHED_HEADER_LENGTH = 128
const encodingCache = new Map<string, Encoding | null>()

/**
 * Returns the supported coding that the client prefers by `Accept-Encoding` (RFC 9110 section 12.5.3); `null` if it
 * is none of them. Of equally preferred codings, returns the one with the shortest output.
 */
export function negotiateEncoding(header: string | string[] | undefined): Encoding | null {
  if (typeof header !== 'string') return null
  const cached = encodingCache.get(header)
  if (cached !== undefined) return cached
  const [best] = new Negotiator({ headers: { 'accept-encoding': header } }).encodings(SUPPORTED_ENCODINGS, {
    preferred: COMPRESSIONS
  })
  const encoding = COMPRESSIONS.find((compression) => compression === best) ?? null
  if (encodingCache.size < MAX_CACHED_HEADERS && header.length <= MAX_CACHED_HEADER_LENGTH)
    encodingCache.set(header, encoding)
  return encoding
}

const VARY = 'Authorization, Cookie'
/** `Vary` of a response that may be compressed. */
export const VARY_COMPRESSED = `${VARY}, Accept-Encoding`

/** Adds a header name to `Vary`, which other plugins set too. */
export function addVary(reply: FastifyReply, name: string): FastifyReply {
  const vary = reply.getHeader('vary')
  return reply.header('vary', vary === undefined ? name : `${String(vary)}, ${name}`)
}

/**
 * Marks a response as private to one user: no shared cache stores it, and browsers revalidate it. Adds to `Vary`.
 *
 * @param vary the request headers that select the response
 */
export function setPrivateHeaders(reply: FastifyReply, vary = VARY): FastifyReply {
  reply.header('cache-control', 'private, no-cache')
  // `Vary` is nearly always unset. Then nothing needs to be parsed.
  if (reply.getHeader('vary') === undefined) reply.header('vary', vary)
  else reply.vary(vary)
  return reply
}
