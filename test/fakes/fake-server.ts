import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { FakeMistakes, type Lifetime } from './lifetime.ts'

/** What every fake is: one or several servers on loopback, and a complaint about what nobody should have asked them. */
export abstract class FakeServer {
  /** What was asked that nobody should ask. */
  readonly mistakes: string[] = []
  /** Those that are open. */
  readonly sockets = new Set<Socket>()
  /** How many sockets were ever opened. */
  connections = 0
  readonly #servers: ReadonlyMap<string, Server>

  /** @param hosts names of the origins that it has; the first one is its `origin` */
  protected constructor(hosts: readonly string[] = ['api']) {
    this.#servers = new Map(hosts.map((host) => [host, this.#serverOf(host)]))
  }

  #serverOf(host: string): Server {
    const server = createServer((message, response) => {
      void this.serve(message, response, host)
    })
    return server.on('connection', (socket) => {
      this.connections++
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
    })
  }

  /** Answers one request. Never rejects. */
  protected abstract serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void>

  /** Listens until the end, which then fails for each mistake that a test has not taken. */
  protected async listen(t: Lifetime, name: string): Promise<void> {
    const servers = [...this.#servers.values()]
    for (const server of servers) server.listen(0, '127.0.0.1')
    await Promise.all(servers.map((server) => once(server, 'listening')))
    t.teardown(async () => {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
      await Promise.all(servers.map((server) => once(server, 'close')))
      if (this.mistakes.length > 0) throw new FakeMistakes(name, this.mistakes)
    })
  }

  /** Without a slash at its end. */
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
