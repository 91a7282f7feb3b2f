import type { ByteRange } from '../domain/storage-backend.ts'

const ONE_RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/i

/**
 * The one range that a `Range` header asks for (RFC 9110, 14.2). Several ranges, other units and what is malformed
 * are ignored, as the RFC allows and asks: the answer is then the whole.
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

/** Past the largest exact number no object has a byte, so that one stands for all larger ones. */
function clamp(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER)
}
