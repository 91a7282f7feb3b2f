import { pipeline, type Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Diagnosis, StorageError } from '../../domain/errors.ts'
import { providerFailure } from '../../domain/provider-failure.ts'

const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress]
])

/** What {@link decodeBody} undoes, as `Accept-Encoding` says it. */
export const ACCEPTED_ENCODINGS = 'gzip, deflate, br'

/**
 * The body of an answer as its sender meant it, and at most `maxBytes` of that: what is counted is what comes out of
 * the decompression, of which a little can make a lot.
 *
 * @throws StorageError `PROVIDER_ERROR` for a coding that we do not know, or more than one
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
      cause: new Diagnosis('The answer has a content coding that nobody asked for')
    })
  }
  return limitBody(decoder === undefined ? [raw] : [raw, decoder()], maxBytes, toError)
}

/** The body as it comes, and no limit. */
export function verbatimBody(raw: Readable, toError: (error: unknown) => Error): Readable {
  return limitBody([raw], Infinity, toError)
}

function limitBody(parts: [Readable, ...Transform[]], maxBytes: number, toError: (error: unknown) => Error): Readable {
  const limited = new LimitedBytes(maxBytes, toError)
  pipeline([...parts, limited], () => {})
  return limited
}

/** Passes so many bytes and no more, and gives failures of its sources a form that callers know. */
class LimitedBytes extends Transform {
  readonly #maxBytes: number
  readonly #toError: (error: unknown) => Error
  #received = 0

  constructor(maxBytes: number, toError: (error: unknown) => Error) {
    super()
    this.#maxBytes = maxBytes
    this.#toError = toError
    // Whoever reads it hears of the failure; a body that was dropped must not end the process.
    this.on('error', () => {})
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#received += chunk.length
    if (this.#received > this.#maxBytes)
      done(new StorageError('PROVIDER_ERROR', 'The answer of the provider is too large.'))
    else done(null, chunk)
  }

  /** A turn late, when the connection is free again: a call that follows at once would open another one. */
  override _flush(done: () => void): void {
    setImmediate(done)
  }

  /** Here and not in `_destroy`: who iterates is given what `destroy` was called with. */
  override destroy(error?: Error): this {
    return super.destroy(error === undefined ? undefined : this.#toError(error))
  }
}
