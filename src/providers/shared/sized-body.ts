import type { SpooledUpload, UploadSpool } from '../../domain/provider.ts'
import type { UploadSource } from './upload-source.ts'

/** So much of a body whose size nobody told is held in memory; a longer one goes through a file. */
export const MAX_HELD_BYTES = 4 * 1024 * 1024

/** The body of an upload where the provider wants to know its size before the first byte. */
export interface SizedBody {
  readonly size: number
  /** Once, from the beginning. Fails as its source does. */
  readonly stream: AsyncIterable<Buffer>
  /** Lets go of what was kept. */
  close(): Promise<void>
}

/**
 * A body with its size: as it comes where the size was announced, else once all of it has come.
 *
 * @param spool holds a body of unknown size that is too large for memory
 * @throws StorageError what the source fails with, and what the spool throws
 */
export async function withSize(
  source: UploadSource,
  announced: number | undefined,
  spool: UploadSpool
): Promise<SizedBody> {
  const stream = source.stream as AsyncIterable<Buffer>
  if (announced !== undefined) return { size: announced, stream, close: async () => {} }
  const held: Buffer[] = []
  let file: SpooledUpload | null = null
  try {
    for await (const piece of stream) {
      if (file === null && source.count <= MAX_HELD_BYTES) {
        held.push(piece)
        continue
      }
      if (file === null) {
        file = await spool.create()
        await file.append(Buffer.concat(held.splice(0)))
      }
      await file.append(piece)
    }
  } catch (error) {
    await file?.close().catch(() => {})
    throw error
  }
  if (file === null) return { size: source.count, stream: toAsync(held), close: async () => {} }
  const spooled = file
  return { size: spooled.size, stream: spooled.read(), close: () => spooled.close() }
}

/** All of a body that is small enough to be held. */
export async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function* toAsync(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces
}
