import type { HttpAnswer } from '../../domain/egress.ts'
import type { ByteRange } from '../../domain/storage-backend.ts'
import { isCoded, lengthOf } from './answer-framing.ts'

export interface DownloadSizes {
  /** Of the whole object, where it is told. */
  readonly size: number | null
  /** The bytes that come, both ends inclusive; `null` for all. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** How many bytes come, where that is told. */
  readonly expected: number | null
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/

/** What an answer says of its bytes; `null` where they are coded, or not those that were asked for. */
export function sizesOf(
  answer: Pick<HttpAnswer, 'status' | 'headers'>,
  asked: ByteRange | undefined
): DownloadSizes | null {
  const contentRange = answer.status === 206 ? (answer.headers['content-range'] ?? '') : undefined
  return isCoded(answer) ? null : readDownloadSizes(contentRange, lengthOf(answer), asked)
}

/**
 * What `Content-Range` and `Content-Length` say of a download. `null` where these are not the bytes that were asked
 * for. A server that does not know ranges sends the whole object, and says so by not naming a range.
 */
export function readDownloadSizes(
  contentRange: string | undefined,
  contentLength: number | null,
  asked: ByteRange | undefined
): DownloadSizes | null {
  if (contentRange === undefined) return { size: contentLength, range: null, expected: contentLength }
  const [, first, last, total] = CONTENT_RANGE.exec(contentRange) ?? []
  const start = Number(first)
  const end = Number(last)
  const size = total === undefined || total === '*' ? null : Number(total)
  const expected = end - start + 1
  const fits = first !== undefined && isWhatWasAsked(asked, start, end, size)
  return fits && (contentLength === null || contentLength === expected)
    ? { size, range: { start, end }, expected }
    : null
}

function isWhatWasAsked(asked: ByteRange | undefined, start: number, end: number, size: number | null): boolean {
  if (asked === undefined || end < start || (size !== null && end >= size)) return false
  if ('suffix' in asked) return size === null || (end === size - 1 && start === Math.max(0, size - asked.suffix))
  const wantedEnd = asked.end ?? Infinity
  return start === asked.start && (size === null ? end <= wantedEnd : end === Math.min(wantedEnd, size - 1))
}
