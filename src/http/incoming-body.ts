import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { SlowSourceTimer } from '../domain/minimum-rate.ts'

export interface IncomingBodyOptions {
  /** `undefined`: as many bytes as come. */
  readonly maxBytes: number | undefined
  /** The longest silence of the client while its bytes are waited for. */
  readonly idleMs: number
  /** The slowest client, measured while its bytes are waited for. */
  readonly minBytesPerSecond: number
}

/** How long a client may take for the bytes of one measurement. A mobile client that pauses for seconds passes. */
const RATE_WINDOW_MS = 30_000

/**
 * The body of a request as an upload takes it. What it is destroyed with is ours; the request itself is left alone,
 * since Node would close its connection with it, and the client hear no answer.
 */
export class IncomingBody extends Readable {
  /** Why it was ended here, whatever the upload makes of that. */
  failure: StorageError | undefined
  readonly #source: Readable
  readonly #options: IncomingBodyOptions
  readonly #rate: SlowSourceTimer
  #received = 0
  #timer: NodeJS.Timeout | undefined

  constructor(source: Readable, options: IncomingBodyOptions) {
    super()
    this.#source = source
    this.#options = options
    const { minBytesPerSecond: bytesPerSecond } = options
    this.#rate = new SlowSourceTimer({ bytesPerSecond, windowMs: RATE_WINDOW_MS }, () => {
      this.#fail(new StorageError('INVALID_REQUEST', `The upload is slower than ${bytesPerSecond} bytes per second.`))
    })
    // It may fail before anybody reads it.
    this.on('error', () => {})
    source.pause()
    source.on('data', this.#onData)
    source.on('end', this.#onEnd)
    source.on('error', this.#onBreak)
    source.on('close', this.#onBreak)
    if (source.destroyed) this.#onBreak()
  }

  override _read(): void {
    this.#arm()
    this.#source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#rest()
    const source = this.#source
    source.pause()
    source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onBreak)
    // Its error stays heard: nobody else listens.
    callback(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    const { maxBytes = Infinity } = this.#options
    this.#received += chunk.length
    this.#rate.count(chunk.length)
    if (this.#received > maxBytes) this.#fail(tooLarge(maxBytes))
    else if (this.push(chunk)) this.#arm()
    else {
      this.#rest()
      this.#source.pause()
    }
  }

  readonly #onEnd = (): void => {
    this.#rest()
    this.push(null)
  }

  readonly #onBreak = (): void => {
    if (!this.#source.readableEnded && !this.destroyed) {
      this.#fail(new StorageError('INVALID_REQUEST', 'The upload broke off before its end.'))
    }
  }

  #arm(): void {
    clearTimeout(this.#timer)
    if (this.destroyed || this.#source.readableEnded) return
    this.#timer = setTimeout(() => {
      this.#fail(new StorageError('INVALID_REQUEST', 'The upload came to a standstill.'))
    }, this.#options.idleMs)
    this.#rate.start()
  }

  /** The client is not asked for bytes: neither its silence nor its rate counts. */
  #rest(): void {
    clearTimeout(this.#timer)
    this.#rate.stop()
  }

  #fail(failure: StorageError): void {
    this.failure ??= failure
    this.destroy(failure)
  }
}

/** @throws StorageError `PAYLOAD_TOO_LARGE` for what is announced to be larger */
export function requireSize(size: number | undefined, maxBytes: number | undefined): void {
  if (size !== undefined && maxBytes !== undefined && size > maxBytes) throw tooLarge(maxBytes)
}

function tooLarge(maxBytes: number): StorageError {
  return new StorageError('PAYLOAD_TOO_LARGE', `An upload must not be larger than ${maxBytes} bytes.`)
}

/** So long a refused client may go on to send before its connection is cut: until then it may hear the answer. */
const LINGER_MS = 5_000

/**
 * Lets what is still to come of a refused body pass, for a while. A connection that was closed at once, with bytes in
 * it that nobody read, would take the answer along (RFC 9112, 9.6).
 */
export function dropRest({ raw }: FastifyRequest, reply: FastifyReply, lingerMs = LINGER_MS): void {
  if (isOver(raw)) return
  reply.raw.once('finish', () => {
    if (isOver(raw)) return
    const timer = setTimeout(() => raw.destroy(), lingerMs)
    raw.once('close', () => {
      clearTimeout(timer)
    })
    raw.on('error', () => {})
    raw.resume()
  })
}

function isOver(raw: IncomingMessage): boolean {
  return raw.readableEnded || raw.destroyed
}
