import type { IncomingHttpHeaders } from 'node:http'
import type { ByteRange } from '../core/backend.ts'

/** The validators of the content that would be sent. */
export interface Validators {
  /** In the syntax of the header: `"abc"` or `W/"abc"`. */
  readonly etag: string | null
  /** Milliseconds since 1970, rounded down to whole seconds. */
  readonly modifiedAt: number | null
}

export type PreconditionResult = 'send' | 'not-modified' | 'precondition-failed'

const ENTITY_TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g

/** Returns whether a request has preconditions. */
export function isConditional(headers: IncomingHttpHeaders): boolean {
  return ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'].some((name) => name in headers)
}

/** Evaluates the preconditions of GET and HEAD (RFC 9110, 13.2.2). */
export function evaluatePreconditions(
  headers: IncomingHttpHeaders,
  { etag, modifiedAt }: Validators
): PreconditionResult {
  const ifMatch = headers['if-match']
  if (ifMatch !== undefined) {
    if (!(ifMatch.trim() === '*' || parseEntityTags(ifMatch).some((tag) => isStrong(tag) && tag === etag))) {
      return 'precondition-failed'
    }
  } else {
    const unmodifiedSince = parseDate(headers['if-unmodified-since'])
    if (unmodifiedSince !== null && modifiedAt !== null && modifiedAt > unmodifiedSince) return 'precondition-failed'
  }

  const ifNoneMatch = headers['if-none-match']
  if (ifNoneMatch !== undefined) {
    const isMatch =
      ifNoneMatch.trim() === '*' ||
      (etag !== null && parseEntityTags(ifNoneMatch).some((tag) => stripWeakPrefix(tag) === stripWeakPrefix(etag)))
    return isMatch ? 'not-modified' : 'send'
  }
  const since = parseDate(headers['if-modified-since'])
  return since !== null && modifiedAt !== null && modifiedAt <= since ? 'not-modified' : 'send'
}

/** Evaluates `If-Range` (RFC 9110, 13.1.5): a range is useful only with the rest of exactly the same content. */
export function matchesIfRange(ifRange: string | undefined, { etag, modifiedAt }: Validators): boolean {
  if (ifRange === undefined) return true
  const validator = ifRange.trim()
  if (validator.endsWith('"')) return isStrong(validator) && validator === etag
  const date = parseDate(validator)
  return date !== null && date === modifiedAt
}

/** Returns the entity tags of a list. */
export function parseEntityTags(list: string): string[] {
  return list.match(ENTITY_TAG) ?? []
}

export function isStrong(tag: string): boolean {
  return !tag.startsWith('W/')
}

function stripWeakPrefix(tag: string): string {
  return tag.replace(/^W\//, '')
}

/** Parses an HTTP date, which ends with GMT. `Date.parse` accepts many other formats. */
function parseDate(text: string | undefined): number | null {
  if (text?.endsWith(' GMT') !== true) return null
  const date = Date.parse(text)
  return Number.isNaN(date) ? null : date
}

const SINGLE_RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/i

/**
 * Parses a `Range` header with one range of bytes (RFC 9110, 14.2). Several ranges, other units and malformed values
 * are ignored, as the RFC allows or requires: the response is then the whole content.
 */
export function parseRange(header: string | undefined): ByteRange | undefined {
  const [, first, last, suffix] = SINGLE_RANGE.exec(header?.trim() ?? '') ?? []
  if (suffix !== undefined) return { suffix: clamp(suffix) }
  if (first === undefined) return undefined
  const start = clamp(first)
  if (last === undefined || last === '') return { start }
  const end = clamp(last)
  return end < start ? undefined : { start, end }
}

/** Limits a position to the largest exact integer. No object has bytes beyond it. */
function clamp(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER)
}
