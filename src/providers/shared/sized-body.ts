import type { SpooledUpload, UploadSpool } from '../../core/provider.ts'
import type { UploadSource } from './upload.ts'

/** Bytes of a body of unknown size that are buffered in memory; a longer body is spooled to a file. */
export const MAX_BUFFERED_BYTES = 4 * 1024 * 1024

/** The body of an upload to a provider that needs the size before the first byte. */
export interface SizedBody {
  readonly size: number
  /** Can be read once. Fails when its source fails. */
  readonly stream: AsyncIterable<Buffer>
  /** Releases the buffered or spooled bytes. */
  close(): Promise<void>
}

/**
 * Returns a body with its size. Streams it if the size was declared; otherwise reads all of it first.
 *
 * @param spool stores a body of unknown size that is too large for memory
 * @throws StorageError the errors of the source and of the spool
 */
export async function toSizedBody(
  source: UploadSource,
  declaredSize: number | undefined,
  spool: UploadSpool
): Promise<SizedBody> {
  const stream = source.stream as AsyncIterable<Buffer>
  if (declaredSize !== undefined) return { size: declaredSize, stream, close: async () => {} }
  const buffered: Buffer[] = []
  let file: SpooledUpload | null = null
  try {
    for await (const piece of stream) {
      if (file === null && source.receivedBytes <= MAX_BUFFERED_BYTES) {
        buffered.push(piece)
        continue
      }
      if (file === null) {
        file = await spool.create()
        await file.append(Buffer.concat(buffered.splice(0)))
      }
      await file.append(piece)
    }
  } catch (error) {
    await file?.close().catch(() => {})
    throw error
  }
  if (file === null) return { size: source.receivedBytes, stream: toAsync(buffered), close: async () => {} }
  const spooled = file
  return { size: spooled.size, stream: spooled.read(), close: () => spooled.close() }
}

/** Reads a small body into memory. */
export async function readBuffer(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function* toAsync(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces
}
