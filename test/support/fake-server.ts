import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'

/** What every fake is: a server on loopback, and a complaint about what nobody should have asked it. */
export abstract class FakeServer {
  /** What was asked that nobody should ask. */
  readonly mistakes: string[] = []
  /** Those that are open. */
  readonly sockets = new Set<Socket>()
  /** How many sockets were ever opened. */
  connections = 0
  readonly #server: Server

  protected constructor() {
    this.#server = createServer((message, response) => {
      void this.serve(message, response)
    })
    this.#server.on('connection', (socket) => {
      this.connections++
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
    })
  }

  /** Answers one request. Never rejects. */
  protected abstract serve(message: IncomingMessage, response: ServerResponse): Promise<void>

  /** Listens until the test ends, which then fails for each mistake that it has not taken. */
  protected async listen(t: Test, name: string): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    t.teardown(async () => {
      this.#server.closeAllConnections()
      this.#server.close()
      await once(this.#server, 'close')
      if (this.mistakes.length > 0) throw new Error(`${name} was asked what nobody asks: ${this.mistakes.join('; ')}`)
    })
  }

  /** Without a slash at its end. */
  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
}
