import { Readable } from 'node:stream'
import type { UploadCall } from '../../core/backend.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { readMediaType } from './entries.ts'

/**
 * Stores the bytes of `body` and always destroys `body` on failure or abort: an idle stream does not notice that its
 * client has disconnected.
 *
 * @throws StorageError `INVALID_REQUEST` for an invalid size or conditions; the errors of `store`; the signal's
 * reason
 */
export async function uploadFrom<T>(
  body: Readable,
  call: UploadCall,
  store: (source: UploadSource) => Promise<T>
): Promise<T> {
  const { signal, size } = call
  // `body` may fail before it is read. A later read still receives the error.
  body.on('error', () => {})
  const source = new UploadSource(body, size)
  const onAbort = (): void => {
    source.destroy(new Error('The upload was aborted.'))
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    requireSize(size)
    requireConditions(call)
    return await store(source)
  } catch (error) {
    source.destroy(new Error('The upload failed.'))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * The bytes of an upload as a stream that ends cleanly only if the source did, and after exactly `size` bytes if a
 * size was declared. Destroying it, or an error in it, destroys the source.
 *
 * The chunk that completes a declared size passes only after the source has ended. A request with a `Content-Length`
 * is complete with its last byte: the server would store the file before an excess chunk or an error is seen. WebDAV
 * depends on this. The other backends commit, or complete the request, only after the stream has ended.
 */
export class UploadSource {
  readonly stream: Readable
  /** The bytes received from the source so far. */
  receivedBytes = 0
  readonly #source: Readable
  readonly #size: number | undefined

  constructor(source: Readable, size: number | undefined) {
    this.#source = source
    this.#size = size
    this.stream = Readable.from(this.#bytes(), { objectMode: false })
    this.stream.on('error', () => {})
  }

  /** Destroys the stream and its source. */
  destroy(error: Error): void {
    this.stream.destroy(error)
    // A stream from a generator closes only when its pending read ends, so an idle source must be destroyed as well.
    this.#source.destroy()
  }

  async *#bytes(): AsyncGenerator<Buffer> {
    let last: Buffer | undefined
    try {
      for await (const chunk of this.#source as AsyncIterable<Buffer | string>) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
        if (bytes.length === 0) continue
        this.receivedBytes += bytes.length
        if (this.#size !== undefined && this.receivedBytes > this.#size) throw sizeMismatch()
        if (this.receivedBytes === this.#size) last = bytes
        else yield bytes
      }
    } catch (error) {
      throw isStorageError(error) ? error : interruptedUpload(error)
    } finally {
      this.#source.destroy()
    }
    if (this.#size !== undefined && this.receivedBytes !== this.#size) throw sizeMismatch()
    if (last !== undefined) yield last
  }
}

function requireSize(size: number | undefined): void {
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0)) {
    throw new StorageError('INVALID_REQUEST', 'The upload size must be a whole number of bytes.')
  }
}

function sizeMismatch(): StorageError {
  return new StorageError('INVALID_REQUEST', 'The upload does not have the announced size.')
}

function interruptedUpload(cause: unknown): StorageError {
  return new StorageError('INVALID_REQUEST', 'The upload was interrupted. Try again.', { cause })
}

/** Validates conditions. @throws StorageError `INVALID_REQUEST` if they contradict each other */
export function requireConditions({ ifMatch, ifNoneMatch }: UploadCall): void {
  if (ifNoneMatch === '*' && ifMatch !== undefined) {
    throw new StorageError('INVALID_REQUEST', 'Use If-Match or If-None-Match, not both.')
  }
}

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
      const part = piece.subarray(0, size - length)
      pieces.push(part)
      length += part.length
      piece = piece.subarray(part.length)
    }
  }
  yield { pieces, length, isLast: true }
}

/** Returns the pieces without the first `count` bytes. */
export function skipBytes(pieces: readonly Buffer[], count: number): readonly Buffer[] {
  let remaining = count
  const rest: Buffer[] = []
  for (const piece of pieces) {
    if (remaining < piece.length) rest.push(piece.subarray(remaining))
    remaining = Math.max(0, remaining - piece.length)
  }
  return rest
}

/** Validates a media type. @throws StorageError `INVALID_REQUEST` if it cannot be the type of an upload */
export function requireMediaType(mimeType: string | undefined): void {
  if (mimeType !== undefined && readMediaType(mimeType) === null) {
    throw new StorageError('INVALID_REQUEST', 'This is not a valid media type.')
  }
}

/**
 * Returns whether `stat` finds the object; `undefined` if it fails. Used only to describe a completed write, which
 * must not fail because of it.
 */
export async function exists(stat: () => Promise<unknown>): Promise<boolean | undefined> {
  try {
    await stat()
    return true
  } catch (error) {
    return isStorageError(error, 'OBJECT_NOT_FOUND') ? false : undefined
  }
}
