/** A part of an upload, in pieces as they came: nothing is copied. */
export interface Chunk {
  readonly pieces: readonly Buffer[]
  readonly length: number
  /** Whether the source ended behind it, as it should. */
  readonly isLast: boolean
}

/**
 * Cuts a stream into chunks of `size` bytes; the last one is shorter, and empty for a stream of nothing. So much and
 * one piece of the source is held at a time.
 */
export async function* chunksOf(source: AsyncIterable<Buffer>, size: number): AsyncGenerator<Chunk> {
  let pieces: Buffer[] = []
  let length = 0
  for await (let piece of source) {
    while (piece.length > 0) {
      // A full one is only let go when more comes: it may have been the last.
      if (length === size) {
        yield { pieces, length, isLast: false }
        pieces = []
        length = 0
      }
      const taken = piece.subarray(0, size - length)
      pieces.push(taken)
      length += taken.length
      piece = piece.subarray(taken.length)
    }
  }
  yield { pieces, length, isLast: true }
}

/** The pieces without the first `count` bytes. */
export function withoutFirst(pieces: readonly Buffer[], count: number): readonly Buffer[] {
  let left = count
  const rest: Buffer[] = []
  for (const piece of pieces) {
    if (left < piece.length) rest.push(piece.subarray(left))
    left = Math.max(0, left - piece.length)
  }
  return rest
}
