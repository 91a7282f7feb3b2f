import { StorageError } from '../../domain/errors.ts'
import type { ByteRange } from '../../domain/storage-backend.ts'

/**
 * @throws StorageError `INVALID_REQUEST` for an invalid range; `RANGE_NOT_SATISFIABLE` for a suffix of 0 bytes, which
 * no object can satisfy (RFC 9110, 14.1.2)
 */
export function requireRange(range: ByteRange): void {
  if ('suffix' in range) {
    if (!isOffset(range.suffix)) throw invalidRange()
    if (range.suffix === 0) throw unsatisfiableRange()
  } else {
    const { start, end } = range
    if (!isOffset(start) || (end !== undefined && (!isOffset(end) || end < start))) throw invalidRange()
  }
}

/**
 * Returns the bytes that `range` selects in an object of `size` bytes, both ends inclusive.
 *
 * @throws StorageError `INVALID_REQUEST`, `RANGE_NOT_SATISFIABLE`
 */
export function resolveRange(range: ByteRange, size: number): { start: number; end: number } {
  requireRange(range)
  const start = 'suffix' in range ? Math.max(0, size - range.suffix) : range.start
  const end = 'suffix' in range ? size - 1 : Math.min(range.end ?? size - 1, size - 1)
  if (start >= size) throw unsatisfiableRange()
  return { start, end }
}

/** Formats a range for the `Range` header (RFC 9110, 14.2). */
export function rangeHeader(range: ByteRange): string {
  requireRange(range)
  return 'suffix' in range ? `bytes=-${range.suffix}` : `bytes=${range.start}-${range.end ?? ''}`
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function invalidRange(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This is not a valid byte range.')
}

export function unsatisfiableRange(cause?: unknown): StorageError {
  return new StorageError('RANGE_NOT_SATISFIABLE', 'The requested range is outside the object.', { cause })
}
