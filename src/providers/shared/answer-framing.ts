import type { HttpAnswer } from '../../domain/egress.ts'

type Head = Pick<HttpAnswer, 'headers'>

const COUNT = /^\d{1,15}$/
const CHUNKED = /(?:^|[\s,])chunked\s*$/i

/** Returns `Content-Length` in bytes, or `null` if it is missing or malformed. */
export function lengthOf({ headers }: Head): number | null {
  const length = headers['content-length']
  return length !== undefined && COUNT.test(length) ? Number(length) : null
}

/** Returns whether the body has a content encoding (compression): its bytes then differ from the content. */
export function isCoded({ headers }: Head): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity'
}

/** Returns whether a truncated body can be detected: by its length or by the last chunk. */
export function hasEnd({ headers }: Head, expected: number | null): boolean {
  return expected !== null || CHUNKED.test(headers['transfer-encoding'] ?? '')
}
