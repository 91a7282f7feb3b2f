import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { FakeMistakes, type Lifetime } from './lifetime.ts'

/** The base of all fakes: one or several servers on loopback, and a record of requests that no client should send. */
export abstract class FakeServer {
  /** Descriptions of requests that no client should send. */
  readonly mistakes: string[] = []
  /** The open sockets. */
  readonly sockets = new Set<Socket>()
  /** The number of sockets accepted so far. */
  connections = 0
  readonly #servers: ReadonlyMap<string, Server>

  /** @param hosts names of its origins; the first one is `origin` */
  protected constructor(hosts: readonly string[] = ['api']) {
    this.#servers = new Map(hosts.map((host) => [host, this.#serverOf(host)]))
  }

  #serverOf(host: string): Server {
    const server = createServer((message, response) => {
      void this.serve(message, response, host)
    })
    server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.upgrade(message, socket, head, host)
    })
    return server.on('connection', (socket) => {
      this.connections++
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
    })
  }

  /** Handles one request. Never rejects. */
  protected abstract serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void>

  /** Handles a request for a WebSocket. */
  protected upgrade(...[, socket]: [message: IncomingMessage, socket: Duplex, head: Buffer, host: string]): void {
    socket.destroy()
  }

  /** Listens until teardown. The teardown fails for each mistake that a test has not removed. */
  protected async listen(t: Lifetime, name: string): Promise<void> {
    const servers = [...this.#servers.values()]
    for (const server of servers) server.listen(0, '127.0.0.1')
    await Promise.all(servers.map((server) => once(server, 'listening')))
    t.teardown(async () => {
      const listening = servers.filter((server) => server.listening)
      for (const server of listening) {
        server.closeAllConnections()
        server.close()
      }
      // Those that were upgraded.
      for (const socket of this.sockets) socket.destroy()
      await Promise.all(listening.map((server) => once(server, 'close')))
      if (this.mistakes.length > 0) throw new FakeMistakes(name, this.mistakes)
    })
  }

  /** Stops all servers. Returns a function that starts them again, on the same ports. */
  async stop(): Promise<() => Promise<void>> {
    const stopped = [...this.#servers].map(([host, server]) => ({
      server,
      port: Number(new URL(this.originOf(host)).port)
    }))
    const closed = stopped.map(({ server }) => once(server, 'close'))
    for (const { server } of stopped) {
      server.close()
      server.closeAllConnections()
    }
    await Promise.all(closed)
    return async () => {
      for (const { server, port } of stopped) server.listen(port, '127.0.0.1')
      await Promise.all(stopped.map(({ server }) => once(server, 'listening')))
    }
  }

  /** Without a trailing slash. */
  get origin(): string {
    const [first = ''] = this.#servers.keys()
    return this.originOf(first)
  }

  originOf(host: string): string {
    const server = this.#servers.get(host)
    if (server === undefined) throw new Error(`there is no host ${host}`)
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body)
  })
  response.end(body)
}

/** Reads the body of a request, even if it is interrupted. */
export async function receiveBody(message: IncomingMessage): Promise<{ body: Buffer; isComplete: boolean }> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk)
    return { body: Buffer.concat(chunks), isComplete: true }
  } catch {
    return { body: Buffer.concat(chunks), isComplete: false }
  }
}
