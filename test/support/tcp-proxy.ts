import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'

export interface ProxyTarget {
  readonly host: string
  readonly port: number
}

/**
 * - `relay`: all passes.
 * - `blackhole`: as if the network were gone without a word. Every connection, new or open, stays open and is dead from
 *   then on: nothing passes in either direction, not even that a side has hung up, and nothing ever will.
 * - `refuse`: new connections are reset; those that are open go on as they were.
 */
export type ProxyMode = 'relay' | 'blackhole' | 'refuse'

/** Bytes that are written together. */
export interface Piece {
  readonly bytes: Buffer
  /** So much later than it is its turn: what comes behind overtakes it. Lost if the connection ends before. */
  readonly lateMs?: number
}

/** What becomes of a chunk of one connection and direction. It may keep parts of it for later. */
export type Transform = (chunk: Buffer) => readonly Piece[]

const AS_IT_CAME: Transform = (bytes) => [{ bytes }]

/** In front of a server that speaks TCP. That one need not be up: who connects meanwhile is reset. */
export class TcpProxy {
  /** Latency of what the server says, from now on; what is under way already is not overtaken. */
  delayMs = 0
  /** The sockets of clients who have not hung up, dead ones too. */
  readonly connections = new Set<Socket>()
  #mode: ProxyMode = 'relay'
  readonly #target: ProxyTarget
  readonly #relays = new Set<Relay>()
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    this.#accept(client)
  })

  protected constructor(target: ProxyTarget) {
    this.#target = target
  }

  /** Ends with the test. */
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
    for (const { lanes } of this.#relays) for (const lane of lanes) lane.die()
  }

  /** The URL of the target, by way of the proxy. */
  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String(this.port)
    return changed.href
  }

  /** Resets all connections on both sides, dead ones too. New ones are none of its business. */
  killAll(): void {
    for (const { sockets } of this.#relays) sockets.forEach(reset)
  }

  protected async listen(t: Test): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    t.teardown(async () => {
      this.#server.close()
      this.killAll()
      await once(this.#server, 'close')
    })
  }

  /** Asked once for each connection. */
  protected fromServer(): Transform {
    return AS_IT_CAME
  }

  /** Asked once for each connection. */
  protected fromClient(): Transform {
    return AS_IT_CAME
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
      // Nobody else reads from one that is dead from its beginning, and that its client hangs up must be seen.
      socket.resume()
    }
  }

  #connect(client: Socket): Relay {
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    const toServer = new Lane(client, server, this.fromClient(), () => 0)
    const toClient = new Lane(server, client, this.fromServer(), () => this.delayMs)
    return { sockets: [client, server], lanes: [toServer, toClient] }
  }
}

/** A client's connection. One that was accepted into a black hole has no second socket, and nothing that passes. */
interface Relay {
  readonly sockets: readonly Socket[]
  readonly lanes: readonly Lane[]
}

interface Waiting {
  readonly dueMs: number
  /** Null: there is no more. */
  readonly bytes: Buffer | null
}

/** One direction of one connection. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  /** By the time they are due. */
  readonly #waiting: Waiting[] = []
  /** When it is the turn of what came last, unless it is late. */
  #turnMs = 0
  #timer: NodeJS.Timeout | undefined
  #isDead = false

  constructor(from: Socket, to: Socket, transform: Transform, delayMs: () => number) {
    this.#from = from
    this.#to = to
    from.on('data', (chunk: Buffer) => {
      if (this.#isDead) return
      for (const { bytes, lateMs } of transform(chunk)) this.#put(bytes, delayMs(), lateMs)
      if (this.#mustWait) from.pause()
    })
    for (const event of ['connect', 'drain']) {
      to.on(event, () => {
        this.#deliver()
        if (!this.#mustWait) from.resume()
      })
    }
    from.once('end', () => {
      if (!this.#isDead) this.#put(null, delayMs())
    })
    from.on('error', () => {
      if (!this.#isDead) reset(to)
    })
    to.once('close', () => {
      this.#clear()
      // What nobody takes any more must not keep an end from being seen.
      from.resume()
    })
  }

  /** Nothing passes any more, and neither side learns of it. */
  die(): void {
    this.#isDead = true
    this.#clear()
    this.#from.resume()
  }

  /** What Node has been given to write it cannot be asked for again, and would come out of a black hole. */
  get #mustWait(): boolean {
    return this.#to.connecting || this.#to.writableNeedDrain
  }

  #put(bytes: Buffer | null, delayMs: number, lateMs = 0): void {
    this.#turnMs = Math.max(this.#turnMs, performance.now() + delayMs)
    const dueMs = this.#turnMs + lateMs
    const before = this.#waiting.findLastIndex((each) => each.dueMs <= dueMs)
    this.#waiting.splice(before + 1, 0, { dueMs, bytes })
    this.#deliver()
  }

  #deliver(): void {
    clearTimeout(this.#timer)
    for (let next = this.#waiting[0]; next !== undefined && !this.#mustWait; next = this.#waiting[0]) {
      const leftMs = next.dueMs - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => {
          this.#deliver()
        }, Math.ceil(leftMs))
        return
      }
      this.#waiting.shift()
      if (!this.#to.writable) continue
      if (next.bytes === null) this.#to.end()
      else this.#to.write(next.bytes)
    }
  }

  #clear(): void {
    clearTimeout(this.#timer)
    this.#waiting.length = 0
  }
}

function reset(socket: Socket): void {
  // libuv refuses to reset while the end of a stream is being written, and Node would then leave the socket open.
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (socket.connecting || isEnding) socket.destroy()
  else socket.resetAndDestroy()
}
