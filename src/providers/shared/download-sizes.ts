import type { HttpAnswer } from '../../domain/egress.ts'
import type { ByteRange } from '../../domain/storage-backend.ts'
import { isCoded, lengthOf } from './answer-framing.ts'

export interface DownloadSizes {
  /** The size of the whole object, if the response contains it. */
  readonly size: number | null
  /** The bytes of the body, both ends inclusive; `null` for the whole object. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** The length of the body in bytes, if known. */
  readonly expected: number | null
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/

/** Reads the sizes of a download. Returns `null` if the body is encoded or is not the requested one. */
export function sizesOf(
  answer: Pick<HttpAnswer, 'status' | 'headers'>,
  asked: ByteRange | undefined
): DownloadSizes | null {
  const contentRange = answer.status === 206 ? (answer.headers['content-range'] ?? '') : undefined
  return isCoded(answer) ? null : readDownloadSizes(contentRange, lengthOf(answer), asked)
}

/**
 * Reads `Content-Range` and `Content-Length`. Returns `null` if the bytes are not the requested ones. A server
 * without range support sends the whole object and no `Content-Range`.
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
