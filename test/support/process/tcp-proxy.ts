import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

export interface ProxyTarget {
  readonly host: string
  readonly port: number
}

/**
 * - `relay`: passes everything.
 * - `blackhole`: simulates a network outage. Connections, new or open, stay open but are dead from then on: nothing
 * passes in either direction, not even the end of a stream, also after the mode changes back.
 * - `refuse`: resets new connections; open ones continue.
 */
export type ProxyMode = 'relay' | 'blackhole' | 'refuse'

/** Bytes that are written together. */
export interface Segment {
  readonly bytes: Buffer
  /** Extra delay. Later pieces overtake it. It is lost if the connection ends before. */
  readonly lateMs?: number
}

/** Transforms the chunks of one connection and direction. May hold back parts for later. */
export type Transform = (chunk: Buffer) => readonly Segment[]

const PASS_THROUGH: Transform = (bytes) => [{ bytes }]

/** A proxy for a TCP server. If the server is down, new connections are reset. */
export class TcpProxy {
  /** Latency of server data from now on. Does not overtake pieces that are already queued. */
  delayMs = 0
  /** The sockets of clients that have not disconnected, dead ones included. */
  readonly connections = new Set<Socket>()
  /** Where new connections lead. */
  target: ProxyTarget
  #mode: ProxyMode = 'relay'
  readonly #relays = new Set<Relay>()
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    this.#accept(client)
  })

  protected constructor(target: ProxyTarget) {
    this.target = target
  }

  /** Stops at teardown. */
  static async start(t: Test, target: ProxyTarget): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    await proxy.listen(t)
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get mode(): ProxyMode {
    return this.#mode
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode
    if (mode !== 'blackhole') return
    for (const { lanes } of this.#relays) for (const lane of lanes) lane.blackhole()
  }

  /** Returns the URL of the target through the proxy. */
  proxiedUrl(url: string): string {
    const proxied = new URL(url)
    proxied.hostname = '127.0.0.1'
    proxied.port = String(this.port)
    return proxied.href
  }

  /** Resets all connections on both sides, dead ones included. Does not affect new ones. */
  resetAll(): void {
    for (const { sockets } of this.#relays) sockets.forEach(reset)
  }

  protected async listen(t: Test): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    t.teardown(async () => {
      this.#server.close()
      this.resetAll()
      await once(this.#server, 'close')
    })
  }

  /** Called once for each connection. */
  protected fromServer(): Transform {
    return PASS_THROUGH
  }

  /** Called once for each connection. */
  protected fromClient(): Transform {
    return PASS_THROUGH
  }

  #accept(client: Socket): void {
    client.on('error', () => {})
    if (this.#mode === 'refuse') {
      client.resetAndDestroy()
      return
    }
    this.connections.add(client)
    for (const event of ['end', 'close']) client.once(event, () => this.connections.delete(client))
    const relay = this.#mode === 'blackhole' ? { sockets: [client], lanes: [] } : this.#connect(client)
    this.#relays.add(relay)
    for (const socket of relay.sockets) {
      socket.once('close', () => {
        if (relay.sockets.every(({ destroyed }) => destroyed)) this.#relays.delete(relay)
      })
      // A connection that was dead from the start has no other reader. Reading is needed to notice that it ends.
      socket.resume()
    }
  }

  #connect(client: Socket): Relay {
    const server = connect({ ...this.target, allowHalfOpen: true, noDelay: true })
    const toServer = new Lane(client, server, this.fromClient(), () => 0)
    const toClient = new Lane(server, client, this.fromServer(), () => this.delayMs)
    return { sockets: [client, server], lanes: [toServer, toClient] }
  }
}

/** A client's connection. In blackhole mode it has no second socket and no lanes. */
interface Relay {
  readonly sockets: readonly Socket[]
  readonly lanes: readonly Lane[]
}

interface QueuedSegment {
  readonly dueMs: number
  /** Null marks the end of the stream. */
  readonly bytes: Buffer | null
}

/** One direction of one connection. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  /** Ordered by due time. */
  readonly #queue: QueuedSegment[] = []
  /** When the last piece is due, unless it has extra delay. */
  #lastDueMs = 0
  #timer: NodeJS.Timeout | undefined
  #isDead = false

  constructor(from: Socket, to: Socket, transform: Transform, delayMs: () => number) {
    this.#from = from
    this.#to = to
    from.on('data', (chunk: Buffer) => {
      if (this.#isDead) return
      for (const { bytes, lateMs } of transform(chunk)) this.#enqueue(bytes, delayMs(), lateMs)
      if (this.#isBlocked) from.pause()
    })
    for (const event of ['connect', 'drain']) {
      to.on(event, () => {
        this.#flush()
        if (!this.#isBlocked) from.resume()
      })
    }
    from.once('end', () => {
      if (!this.#isDead) this.#enqueue(null, delayMs())
    })
    from.on('error', () => {
      if (!this.#isDead) reset(to)
    })
    to.once('close', () => {
      this.#clear()
      // Discard the data: otherwise the end of the stream would not be seen.
      from.resume()
    })
  }

  /** Stops passing data, without either side noticing. */
  blackhole(): void {
    this.#isDead = true
    this.#clear()
    this.#from.resume()
  }

  /** Data that was handed to Node cannot be taken back, and would still leave a black hole. */
  get #isBlocked(): boolean {
    return this.#to.connecting || this.#to.writableNeedDrain
  }

  #enqueue(bytes: Buffer | null, delayMs: number, lateMs = 0): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + delayMs)
    const dueMs = this.#lastDueMs + lateMs
    const insertAfter = this.#queue.findLastIndex((each) => each.dueMs <= dueMs)
    this.#queue.splice(insertAfter + 1, 0, { dueMs, bytes })
    this.#flush()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    for (let next = this.#queue[0]; next !== undefined && !this.#isBlocked; next = this.#queue[0]) {
      const remainingMs = next.dueMs - performance.now()
      if (remainingMs > 0) {
        this.#timer = setTimeout(() => {
          this.#flush()
        }, Math.ceil(remainingMs))
        return
      }
      this.#queue.shift()
      if (!this.#to.writable) continue
      if (next.bytes === null) this.#to.end()
      else this.#to.write(next.bytes)
    }
  }

  #clear(): void {
    clearTimeout(this.#timer)
    this.#queue.length = 0
  }
}

function reset(socket: Socket): void {
  // libuv refuses to reset while the end of a stream is being written, and Node would then leave the socket open.
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (socket.connecting || isEnding) socket.destroy()
  else socket.resetAndDestroy()
}
