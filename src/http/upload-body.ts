import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SlowSourceTimer } from '../core/minimum-rate.ts'
import { StorageError } from '../errors.ts'
import { sendProblem } from './problem.ts'

export interface IncomingBodyOptions {
  /** `undefined`: no limit. */
  readonly maxBytes: number | undefined
  /** The maximum pause of the client while the server waits for bytes. */
  readonly idleMs: number
  /** The minimum rate of the client, measured while the server waits for bytes. */
  readonly minBytesPerSecond: number
}

/** The window of one rate measurement. A mobile client that pauses for seconds passes. */
const RATE_WINDOW_MS = 30_000

/**
 * The body of a request, as the source of an upload. A failure destroys this stream and not the request: Node would
 * close the connection with it, and the client would receive no response.
 */
export class IncomingBody extends Readable {
  /** The reason for which this class ended the body, whatever error the upload reports for it. */
  failure: StorageError | undefined
  readonly #source: Readable
  readonly #options: IncomingBodyOptions
  readonly #rate: SlowSourceTimer
  #receivedBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(source: Readable, options: IncomingBodyOptions) {
    super()
    this.#source = source
    this.#options = options
    const { minBytesPerSecond: bytesPerSecond } = options
    this.#rate = new SlowSourceTimer({ bytesPerSecond, windowMs: RATE_WINDOW_MS }, () => {
      this.#fail(new StorageError('INVALID_REQUEST', `The upload is slower than ${bytesPerSecond} bytes per second.`))
    })
    // It may fail before it has a reader.
    this.on('error', () => {})
    source.pause()
    source.on('data', this.#onData)
    source.on('end', this.#onEnd)
    source.on('error', this.#onInterrupted)
    source.on('close', this.#onInterrupted)
    if (source.destroyed) this.#onInterrupted()
  }

  override _read(): void {
    this.#startTimers()
    this.#source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stopTimers()
    const source = this.#source
    source.pause()
    source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onInterrupted)
    // The `error` listener stays: the request has no other.
    callback(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    const { maxBytes = Infinity } = this.#options
    this.#receivedBytes += chunk.length
    this.#rate.count(chunk.length)
    if (this.#receivedBytes > maxBytes) this.#fail(tooLarge(maxBytes))
    else if (this.push(chunk)) this.#startTimers()
    else {
      this.#stopTimers()
      this.#source.pause()
    }
  }

  readonly #onEnd = (): void => {
    this.#stopTimers()
    this.push(null)
  }

  readonly #onInterrupted = (): void => {
    if (!this.#source.readableEnded && !this.destroyed) {
      this.#fail(new StorageError('INVALID_REQUEST', 'The upload was interrupted. Try again.'))
    }
  }

  #startTimers(): void {
    clearTimeout(this.#timer)
    if (this.destroyed || this.#source.readableEnded) return
    this.#timer = setTimeout(() => {
      this.#fail(new StorageError('INVALID_REQUEST', 'The upload stalled. Try again.'))
    }, this.#options.idleMs)
    this.#rate.start()
  }

  /** Stops the timers: while the server reads no bytes, neither the client's pause nor its rate counts. */
  #stopTimers(): void {
    clearTimeout(this.#timer)
    this.#rate.stop()
  }

  #fail(failure: StorageError): void {
    this.failure ??= failure
    this.destroy(failure)
  }
}

/** Rejects an announced size that is too large. @throws StorageError `PAYLOAD_TOO_LARGE` */
export function requireMaxSize(size: number | undefined, maxBytes: number | undefined): void {
  if (size !== undefined && maxBytes !== undefined && size > maxBytes) throw tooLarge(maxBytes)
}

function tooLarge(maxBytes: number): StorageError {
  return new StorageError('PAYLOAD_TOO_LARGE', `An upload must not be larger than ${maxBytes} bytes.`)
}

/** Time for which a rejected client may go on sending before its connection is cut. It can read the response then. */
const LINGER_MS = 5_000

/**
 * Discards the rest of a rejected body, for a limited time. Closing the connection at once, with unread bytes in it,
 * would lose the response (RFC 9112, 9.6).
 */
export function discardRemainingBody({ raw }: FastifyRequest, reply: FastifyReply, lingerMs = LINGER_MS): void {
  if (hasEnded(raw)) return
  reply.raw.once('finish', () => {
    if (hasEnded(raw)) return
    const timer = setTimeout(() => raw.destroy(), lingerMs)
    raw.once('close', () => {
      clearTimeout(timer)
    })
    raw.on('error', () => {})
    raw.resume()
  })
}

function hasEnded(raw: IncomingMessage): boolean {
  return raw.readableEnded || raw.destroyed
}

/** Disables body parsing in the scope of `app`: handlers get the raw stream, of any type and size. */
export function acceptRawBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
}

/** The content that a request uploads. */
export interface IncomingUpload {
  /** `null` if the request has no body. */
  readonly source: IncomingBody | null
  readonly body: Readable
  readonly mimeType: string | undefined
  /** In bytes, if announced. */
  readonly size: number | undefined
}

/**
 * @throws StorageError for partial content (RFC 9110, 14.5), for content with a coding, which would be stored
 * encoded, and `PAYLOAD_TOO_LARGE` for an announced size above `maxBytes`
 */
export function toIncomingUpload({ headers, body }: FastifyRequest, options: IncomingBodyOptions): IncomingUpload {
  requireFullContent(headers)
  const size = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  requireMaxSize(size, options.maxBytes)
  const source = body instanceof Readable ? new IncomingBody(body, options) : null
  return {
    source,
    body: source ?? Readable.from([]),
    mimeType: headers['content-type'],
    size: source === null ? 0 : size
  }
}

function requireFullContent(headers: IncomingHttpHeaders): void {
  if (headers['content-range'] !== undefined) {
    throw new StorageError('INVALID_REQUEST', 'Partial uploads with Content-Range are not supported.')
  }
  if ((headers['content-encoding'] ?? 'identity').trim().toLowerCase() !== 'identity') {
    throw new StorageError('UNSUPPORTED_MEDIA_TYPE', 'Send the content without a Content-Encoding.')
  }
}

/** Runs an upload. On failure, throws the signal's abort reason, else the failure of the body, else the error. */
export async function runUpload<T>(body: IncomingBody | null, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    signal.throwIfAborted()
    throw body?.failure ?? error
  } finally {
    body?.destroy()
  }
}

/** Handles errors of routes that receive uploads. */
export function sendUploadProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  discardRemainingBody(request, reply)
  return sendProblem(error, request, reply)
}
