import { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../../domain/errors.ts'

/** Makes an upload: its source never fails unheard, and ends with it. */
export async function withSource<T>(source: Readable, upload: () => Promise<T>): Promise<T> {
  // The source may fail while nobody reads it yet; reading it then still tells.
  source.on('error', () => {})
  try {
    return await upload()
  } catch (error) {
    source.destroy()
    throw error
  }
}

/**
 * The bytes of an upload as a stream that ends cleanly only when the source did, and after exactly `size` bytes
 * where a size was declared. Destroying it, or a failure in it, destroys the source.
 */
export class UploadSource {
  readonly stream: Readable
  /** The bytes that have passed so far. */
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
    try {
      for await (const chunk of this.#source as AsyncIterable<Buffer | string>) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
        this.count += bytes.length
        if (this.#size !== undefined && this.count > this.#size) throw sizeMismatch()
        yield bytes
      }
    } catch (error) {
      throw isStorageError(error) ? error : brokenOff(error)
    } finally {
      this.#source.destroy()
    }
    if (this.#size !== undefined && this.count !== this.#size) throw sizeMismatch()
  }
}

/** @throws StorageError `INVALID_REQUEST` for what cannot be the size of a body */
export function requireSize(size: number | undefined): void {
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
