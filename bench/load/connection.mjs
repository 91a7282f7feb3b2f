// A keep-alive connection of the load generator. It reads into one buffer and parses only the status and the length
// of a response: for a body of 100 kB, autocannon's parser in JavaScript takes more time than the server, so that the
// faster of two servers would only wait for it.
import { connect } from 'node:net'

const END_OF_HEAD = '\r\n\r\n'
const STATUS_AT = 'HTTP/1.1 '.length

export class Connection {
  /** The status of the last response, and its headers. */
  status = 0
  head = ''
  /** The bytes of all responses, including headers. */
  bytes = 0
  #left = 0
  #isInBody = false
  #done = null
  #failure = null
  #socket

  constructor(port) {
    const buffer = Buffer.allocUnsafeSlow(256 * 1024)
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (length, chunk) => {
          this.#read(length, chunk)
          return true
        }
      }
    })
    this.#socket.once('close', () => this.#fail(new Error('a server closed a connection')))
    this.#socket.on('error', (error) => this.#fail(error))
  }

  get isOpen() {
    return this.#failure === null
  }

  /** @param done called with an error, or without one after the whole response */
  ask(request, done) {
    if (this.#failure !== null) {
      done(this.#failure)
      return
    }
    this.#done = done
    this.#isInBody = false
    this.head = ''
    this.#socket.write(request)
  }

  end() {
    this.#socket.destroy()
  }

  #read(length, chunk) {
    this.bytes += length
    let body = length
    if (!this.#isInBody) {
      const known = this.head.length
      this.head += chunk.latin1Slice(0, Math.min(length, 4096))
      const end = this.head.indexOf(END_OF_HEAD)
      if (end === -1) return
      body = length - (end + END_OF_HEAD.length - known)
      this.head = this.head.slice(0, end + 2)
      this.status = Number(this.head.slice(STATUS_AT, STATUS_AT + 3))
      this.#left = this.status === 304 || this.status === 204 ? 0 : lengthOf(this.head)
      this.#isInBody = true
    }
    this.#left -= body
    if (this.#left > 0) return
    const done = this.#done
    this.#done = null
    done?.(this.#left < 0 ? new Error('a response was longer than its Content-Length') : undefined)
  }

  #fail(error) {
    this.#failure ??= error
    const done = this.#done
    this.#done = null
    done?.(error)
  }
}

function lengthOf(head) {
  const length = headerOf(head, 'content-length')
  if (length === null) throw new Error(`a response has no Content-Length: ${head}`)
  return Number(length)
}

export function headerOf(head, name) {
  return new RegExp(`\r\n${name}: (.*)\r\n`, 'i').exec(head)?.[1] ?? null
}

export function requestBytes(path, headers) {
  const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
}
