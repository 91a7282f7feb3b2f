import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Returns one frame of a server, which is not masked. */
export function frameOf(payload: string | Buffer, opcode = 1, isLast = true): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10)
  head[0] = (isLast ? 0x80 : 0) | opcode
  head[1] = bytes.length < 126 ? bytes.length : bytes.length < 65_536 ? 126 : 127
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2)
  return Buffer.concat([head, bytes])
}

/** The server's side of a WebSocket (RFC 6455), for short messages. It is strict about what clients must do. */
export class FakeWebSocket {
  readonly socket: Duplex
  /** The texts of the client, in order. */
  readonly received: string[] = []
  readonly pongs: string[] = []
  onText: (text: string) => void = () => {}
  readonly #onMistake: (mistake: string) => void
  #bytes: Buffer

  constructor(message: IncomingMessage, socket: Duplex, head: Buffer, onMistake: (mistake: string) => void) {
    this.socket = socket
    this.#onMistake = onMistake
    this.#bytes = head
    const { 'sec-websocket-key': key = '', 'sec-websocket-version': version, authorization, cookie } = message.headers
    if (message.method !== 'GET' || version !== '13' || Buffer.from(key, 'base64').length !== 16) {
      onMistake('a WebSocket handshake that RFC 6455 does not allow')
    }
    if ('sec-websocket-extensions' in message.headers) onMistake('an extension of WebSocket')
    if (authorization !== undefined || cookie !== undefined) onMistake('credentials in the head of a WebSocket')
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64')
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
    socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'))
    socket.on('error', () => {})
    // Servers of Node keep sockets half open.
    socket.on('end', () => {
      socket.destroy()
    })
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      while (this.#readFrame());
    })
  }

  send(text: string): void {
    this.sendFrame(frameOf(text))
  }

  sendFrame(frame: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(frame)
  }

  /** Closes the connection with a close frame. */
  close(): void {
    this.sendFrame(frameOf('', 8))
    this.socket.end()
  }

  #readFrame(): boolean {
    const bytes = this.#bytes
    const [first = 0, second = 0] = bytes
    const short = second & 0x7f
    const headLength = short === 126 ? 8 : 6
    if (bytes.length < 2 || bytes.length < headLength) return false
    const length = short === 126 ? bytes.readUInt16BE(2) : short
    if (bytes.length < headLength + length) return false
    if ((second & 0x80) === 0) this.#onMistake('a frame of a client without a mask')
    const mask = bytes.subarray(headLength - 4, headLength)
    const payload = bytes.subarray(headLength, headLength + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0))
    this.#bytes = bytes.subarray(headLength + length)
    const text = Buffer.from(payload).toString()
    if (first === 0x8a) this.pongs.push(text)
    else if (first === 0x81) {
      this.received.push(text)
      this.onText(text)
    } else if (first !== 0x88) this.#onMistake(`a frame that begins with ${first}`)
    return true
  }
}
