import type { HttpAnswer } from '../../domain/egress.ts'

type Head = Pick<HttpAnswer, 'headers'>

const COUNT = /^\d{1,15}$/
const CHUNKED = /(?:^|[\s,])chunked\s*$/i

/** What `Content-Length` says, in bytes. */
export function lengthOf({ headers }: Head): number | null {
  const length = headers['content-length']
  return length !== undefined && COUNT.test(length) ? Number(length) : null
}

/** Whether the bytes of the body are other ones than those of the content: compressed, for one. */
export function isCoded({ headers }: Head): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity'
}

/** Whether a body that breaks off early is noticed: by its length, or by the last of its chunks. */
export function hasEnd({ headers }: Head, expected: number | null): boolean {
  return expected !== null || CHUNKED.test(headers['transfer-encoding'] ?? '')
}
