import { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'
import { requireConditions } from './upload-conditions.ts'

/**
 * Stores the bytes of `body`, which is let go of however that ends: a silent one would not notice that its caller has
 * left.
 *
 * @throws StorageError `INVALID_REQUEST` for a size or conditions that make no sense, what `store` throws; the signal's
 * reason
 */
export async function uploadFrom<T>(
  body: Readable,
  call: UploadCall,
  store: (source: UploadSource) => Promise<T>
): Promise<T> {
  const { signal, size } = call
  // It may fail while nobody reads it yet; reading it then still tells.
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
    source.destroy(new Error('The upload has failed.'))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * The bytes of an upload as a stream that ends cleanly only when the source did, and after exactly `size` bytes
 * where a size was declared. Destroying it, or a failure in it, destroys the source.
 *
 * The chunk that completes a declared size passes only after the source has ended. A request with a `Content-Length`
 * is complete with its last byte: the server would store the file before a chunk too many, or a failure, is seen.
 */
export class UploadSource {
  readonly stream: Readable
  /** The bytes that the source has given so far. */
  count = 0
  readonly #source: Readable
  readonly #size: number | undefined

  constructor(source: Readable, size: number | undefined) {
    this.#source = source
    this.#size = size
    this.stream = Readable.from(this.#bytes(), { objectMode: false })
    this.stream.on('error', () => {})
  }

  /** Ends the reading, whoever waits for what. */
  destroy(error: Error): void {
    this.stream.destroy(error)
    // A stream out of a generator only closes once the pending read has ended: a silent source must be ended first.
    this.#source.destroy()
  }

  async *#bytes(): AsyncGenerator<Buffer> {
    let last: Buffer | undefined
    try {
      for await (const chunk of this.#source as AsyncIterable<Buffer | string>) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
        if (bytes.length === 0) continue
        this.count += bytes.length
        if (this.#size !== undefined && this.count > this.#size) throw sizeMismatch()
        if (this.count === this.#size) last = bytes
        else yield bytes
      }
    } catch (error) {
      throw isStorageError(error) ? error : brokenOff(error)
    } finally {
      this.#source.destroy()
    }
    if (this.#size !== undefined && this.count !== this.#size) throw sizeMismatch()
    if (last !== undefined) yield last
  }
}

function requireSize(size: number | undefined): void {
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0)) {
    throw new StorageError('INVALID_REQUEST', 'The size of an upload is a whole number of bytes.')
  }
}

function sizeMismatch(): StorageError {
  return new StorageError('INVALID_REQUEST', 'The upload has another size than was announced.')
}

function brokenOff(cause: unknown): StorageError {
  return new StorageError('INVALID_REQUEST', 'The upload broke off before its end.', { cause })
}
