import { Readable } from 'node:stream'
import { StorageError } from '../../errors.ts'
import { SlowSourceTimer } from '../../core/minimum-rate.ts'

/**
 * Destroys a body that is not read for this time; it would hold its socket or file for ever. Much longer than the
 * idle timeout, because a slow client with a full buffer legitimately reads nothing for a while.
 */
const UNREAD_MS = 300_000
/** The minimum rate of a source while the reader waits. A slower one would hold its socket for days. */
const SOURCE_RATE = { bytesPerSecond: 512, windowMs: 60_000 }

export interface TransferOptions {
  /** The length of the body in bytes; `null` if unknown. */
  readonly expected: number | null
  /** The idle timeout of the source while the reader waits. */
  readonly idleMs: number
  readonly signal: AbortSignal
  /** Maps an error of the source. */
  readonly toError: (error: unknown) => Error
}

/**
 * The body of a download. It ends cleanly only after all expected bytes, fails with the signal's reason or after an
 * idle timeout, and destroys its source when it is destroyed.
 *
 * The idle time is measured here and not on the socket, because a paused socket is idle too: with a socket timeout, a
 * client slower than the source would lose its download (Node 20, 2026-11).
 */
export class TransferBody extends Readable {
  readonly #source: Readable
  readonly #options: TransferOptions
  readonly #onAbort: () => void
  readonly #rateTimer: SlowSourceTimer
  #received = 0
  #timer: NodeJS.Timeout | undefined

  constructor(source: Readable, options: TransferOptions) {
    super()
    this.#source = source
    this.#options = options
    this.#rateTimer = new SlowSourceTimer(SOURCE_RATE, () => {
      this.destroy(new StorageError('PROVIDER_TIMEOUT', 'The provider sends data too slowly. Try again later.'))
    })
    // If the consumer drops the body, an error of the source must not end the process. Readers still receive the
    // error.
    this.on('error', () => {})

    source.pause()
    source.on('data', (chunk: Buffer) => {
      this.#onData(chunk)
    })
    source.once('end', () => {
      this.#onEnd()
    })
    source.on('error', (error) => {
      this.destroy(options.toError(error))
    })
    source.once('close', () => {
      if (!source.readableEnded && !this.destroyed) this.destroy(interruptedTransfer())
    })

    this.#onAbort = () => {
      const reason: unknown = options.signal.reason
      this.destroy(reason instanceof Error ? reason : new Error('The call was aborted.', { cause: reason }))
    }
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal.aborted) this.#onAbort()
    else this.#arm(UNREAD_MS)
  }

  override _read(): void {
    this.#arm(this.#options.idleMs)
    this.#rateTimer.start()
    this.#source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#disarm()
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#source.destroy()
    callback(error)
  }

  #onData(chunk: Buffer): void {
    if (this.destroyed) return
    this.#received += chunk.length
    this.#rateTimer.count(chunk.length)
    const { expected, idleMs } = this.#options
    if (expected !== null && this.#received > expected) {
      this.destroy(new StorageError('PROVIDER_ERROR', 'The provider sent more bytes than announced.'))
    } else if (this.push(chunk)) {
      this.#arm(idleMs)
    } else {
      this.#source.pause()
      this.#rateTimer.stop()
      this.#arm(UNREAD_MS)
    }
  }

  #onEnd(): void {
    if (this.destroyed) return
    const { expected } = this.#options
    if (expected !== null && this.#received < expected) {
      this.destroy(interruptedTransfer())
      return
    }
    this.#disarm()
    this.push(null)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    this.#rateTimer.stop()
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.destroy(new StorageError('PROVIDER_TIMEOUT', 'The transfer stalled. Try again.'))
    }, ms)
    // The socket or the file keeps the process alive as long as necessary.
    this.#timer.unref()
  }
}

function interruptedTransfer(): StorageError {
  return new StorageError('PROVIDER_UNAVAILABLE', 'The transfer was interrupted. Try again.')
}
