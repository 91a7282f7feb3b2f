import { pipeline, type Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Diagnosis, providerFailure, StorageError } from '../errors.ts'

const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress]
])

/** The codings that {@link decodeBody} supports, as a value of `Accept-Encoding`. */
export const ACCEPTED_ENCODINGS = 'gzip, deflate, br'

/**
 * Decompresses the body of a response and limits it to `maxBytes` of decompressed data, since a small body can expand
 * to a large one.
 *
 * @throws StorageError `PROVIDER_ERROR` for an unknown coding, or more than one
 */
export function decodeBody(
  raw: Readable,
  contentEncoding: string | undefined,
  maxBytes: number,
  toError: (error: unknown) => Error
): Readable {
  const coding = contentEncoding?.trim().toLowerCase() ?? ''
  const decoder = DECODERS.get(coding)
  if (decoder === undefined && coding !== '' && coding !== 'identity') {
    raw.on('error', () => {}).destroy()
    throw providerFailure('PROVIDER_ERROR', {
      cause: new Diagnosis('The response has a content coding that was not requested')
    })
  }
  return limitBody(decoder === undefined ? [raw] : [raw, decoder()], maxBytes, toError)
}

/** Returns the body unchanged and without a limit. */
export function verbatimBody(raw: Readable, toError: (error: unknown) => Error): Readable {
  return limitBody([raw], Infinity, toError)
}

function limitBody(parts: [Readable, ...Transform[]], maxBytes: number, toError: (error: unknown) => Error): Readable {
  const limited = new LimitedBytes(maxBytes, toError)
  pipeline([...parts, limited], () => {})
  return limited
}

/** Passes a limited number of bytes, and converts the errors of its sources. */
class LimitedBytes extends Transform {
  readonly #maxBytes: number
  readonly #toError: (error: unknown) => Error
  #received = 0

  constructor(maxBytes: number, toError: (error: unknown) => Error) {
    super()
    this.#maxBytes = maxBytes
    this.#toError = toError
    // A reader gets the error. A body without a reader must not end the process.
    this.on('error', () => {})
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#received += chunk.length
    if (this.#received > this.#maxBytes)
      done(new StorageError('PROVIDER_ERROR', 'The response of the provider is too large.'))
    else done(null, chunk)
  }

  /** Ends one turn late, when the connection is free again: an immediate next call would open another one. */
  override _flush(done: () => void): void {
    setImmediate(done)
  }

  /** Not `_destroy`: async iterators reject with the argument of `destroy`. */
  override destroy(error?: Error): this {
    return super.destroy(error === undefined ? undefined : this.#toError(error))
  }
}
