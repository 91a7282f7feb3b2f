import { createHash, randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { WebSocketConnection } from '../core/egress.ts'
import { Diagnosis, providerFailure, type StorageError } from '../errors.ts'

/** Both of a frame and of a message. */
const MAX_MESSAGE_BYTES = 64 * 1024
/** All bytes of one connection, which lasts for minutes: more of them say nothing new. */
const MAX_RECEIVED_BYTES = 1024 * 1024

/** The operation codes of RFC 6455, 5.2. */
const CONTINUATION = 0
const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10
const MAX_CONTROL_BYTES = 125
const FIN = 0x80
const MASKED = 0x80

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export function newWebSocketKey(): string {
  return randomBytes(16).toString('base64')
}

/** Returns the `Sec-WebSocket-Accept` that proves that the server has read the key. */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64')
}

interface WebSocketOptions {
  readonly signal: AbortSignal
  readonly idleMs: number
  readonly toError: (error: unknown) => Error
}

interface Frame {
  readonly isLast: boolean
  readonly opcode: number
  readonly payload: Buffer
  /** With its head. */
  readonly length: number
}

/**
 * The client's side of a WebSocket of text messages, on a socket that has been upgraded. A client library would wait
 * for the server at the end, and accept larger and compressed messages.
 */
export class WebSocketClient implements WebSocketConnection {
  readonly messages: AsyncGenerator<string, void, void>
  readonly #socket: Duplex
  readonly #idleTimer: NodeJS.Timeout

  constructor(socket: Duplex, { signal, idleMs, toError }: WebSocketOptions) {
    this.#socket = socket
    // Errors reach the reader, if there is one.
    socket.on('error', () => {})
    this.#idleTimer = setTimeout(() => {
      socket.destroy(providerFailure('PROVIDER_TIMEOUT'))
    }, idleMs)
    const onAbort = (): void => {
      socket.destroy()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('close', () => {
      clearTimeout(this.#idleTimer)
      signal.removeEventListener('abort', onAbort)
    })
    if (signal.aborted) onAbort()
    this.messages = this.#receive(signal, toError)
  }

  send(text: string): void {
    this.#write(TEXT, Buffer.from(text))
  }

  close(): void {
    this.#socket.destroy()
  }

  async *#receive(signal: AbortSignal, toError: (error: unknown) => Error): AsyncGenerator<string, void, void> {
    let parts: Buffer[] = []
    let length = 0
    let isOpen = false
    try {
      for await (const frame of this.#frames()) {
        const { isLast, opcode, payload } = frame
        if (opcode === PING) this.#write(PONG, payload)
        if (opcode === CLOSE) return
        if (opcode >= CLOSE) continue
        if ((opcode === TEXT) === isOpen) throw invalid('a message within another one')
        length += payload.length
        if (length > MAX_MESSAGE_BYTES) throw invalid('a message that is too long')
        if (payload.length > 0) parts.push(payload)
        isOpen = !isLast
        if (isOpen) continue
        yield Buffer.concat(parts).toString('utf8')
        parts = []
        length = 0
      }
      signal.throwIfAborted()
    } catch (error) {
      signal.throwIfAborted()
      throw toError(error)
    } finally {
      this.close()
    }
  }

  /** Joins chunks only when a head or a frame is complete, so that many small chunks cost no more than a large one. */
  async *#frames(): AsyncGenerator<Frame, void, void> {
    let chunks: Buffer[] = []
    let length = 0
    let needed = 2
    let received = 0
    for await (const chunk of this.#socket as AsyncIterable<Buffer>) {
      this.#idleTimer.refresh()
      received += chunk.length
      if (received > MAX_RECEIVED_BYTES) throw invalid('too many bytes')
      chunks.push(chunk)
      length += chunk.length
      if (length < needed) continue
      let bytes = Buffer.concat(chunks)
      let frame = readFrame(bytes)
      for (; typeof frame !== 'number'; frame = readFrame(bytes)) {
        bytes = bytes.subarray(frame.length)
        yield frame
      }
      needed = frame
      chunks = [bytes]
      length = bytes.length
    }
  }

  /** Sends one frame. A client masks its frames (RFC 6455, 5.3). */
  #write(opcode: number, payload: Buffer): void {
    if (this.#socket.destroyed) return
    const { length } = payload
    const head =
      length <= MAX_CONTROL_BYTES
        ? Buffer.of(FIN | opcode, MASKED | length)
        : Buffer.of(FIN | opcode, MASKED | 126, length >> 8, length & 0xff)
    const mask = randomBytes(4)
    const masked = payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))
    this.#socket.write(Buffer.concat([head, mask, masked]))
  }
}

/** Returns the first frame, or the number of bytes that it needs at least. @throws StorageError `PROVIDER_ERROR` */
function readFrame(bytes: Buffer): Frame | number {
  const [first, second] = bytes
  if (first === undefined || second === undefined) return 2
  const opcode = first & 0x0f
  const isLast = (first & FIN) !== 0
  const isControl = opcode >= CLOSE
  const isKnown = opcode === CONTINUATION || opcode === TEXT || (isControl && opcode <= PONG)
  // No extension was requested, and servers do not mask.
  if (!isKnown || (first & 0x70) !== 0 || (second & MASKED) !== 0) throw invalid('a frame that RFC 6455 does not allow')
  const shortLength = second & 0x7f
  if (isControl && (shortLength > MAX_CONTROL_BYTES || !isLast)) throw invalid('a control frame that is too long')
  const headLength = shortLength < 126 ? 2 : shortLength === 126 ? 4 : 10
  if (bytes.length < headLength) return headLength
  const payloadLength =
    headLength === 2 ? shortLength : headLength === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  if (payloadLength > MAX_MESSAGE_BYTES) throw invalid('a frame that is too long')
  const length = headLength + payloadLength
  if (bytes.length < length) return length
  return { isLast, opcode, payload: bytes.subarray(headLength, length), length }
}

function invalid(what: string): StorageError {
  return providerFailure('PROVIDER_ERROR', { cause: new Diagnosis(`The server sent ${what} through a WebSocket`) })
}
