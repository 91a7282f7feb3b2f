/** A part of an upload, as the pieces that the source sent: nothing is copied. */
export interface Chunk {
  readonly pieces: readonly Buffer[]
  readonly length: number
  /** Whether the source ended cleanly after this chunk. */
  readonly isLast: boolean
}

/**
 * Cuts a stream into chunks of `size` bytes. The last chunk is shorter, and empty for an empty stream. Buffers at
 * most one chunk and one piece of the source.
 */
export async function* chunksOf(source: AsyncIterable<Buffer>, size: number): AsyncGenerator<Chunk> {
  let pieces: Buffer[] = []
  let length = 0
  for await (let piece of source) {
    while (piece.length > 0) {
      // Yield a full chunk only when more bytes follow: it may be the last one.
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

/** Returns the pieces without the first `count` bytes. */
export function withoutFirst(pieces: readonly Buffer[], count: number): readonly Buffer[] {
  let left = count
  const rest: Buffer[] = []
  for (const piece of pieces) {
    if (left < piece.length) rest.push(piece.subarray(left))
    left = Math.max(0, left - piece.length)
  }
  return rest
}
