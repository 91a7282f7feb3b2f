import type { ByteRange } from '../domain/storage-backend.ts'

const ONE_RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/i

/**
 * Parses a `Range` header with one range of bytes (RFC 9110, 14.2). Several ranges, other units and malformed values
 * are ignored, as the RFC allows or requires: the response is then the whole content.
 */
export function parseRange(header: string | undefined): ByteRange | undefined {
  const [, first, last, suffix] = ONE_RANGE.exec(header?.trim() ?? '') ?? []
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
