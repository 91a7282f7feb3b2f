import { once } from 'node:events'
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'

/** A fault for matching requests. The first matching rule that was applied fewer than `times` times is applied. */
export interface FaultRule {
  readonly match?: (request: IncomingMessage) => boolean
  readonly times?: number
  /** Applied before all other faults. */
  readonly latencyMs?: number
  /** Responds directly, without the server behind. */
  readonly response?: { readonly status: number; readonly headers?: OutgoingHttpHeaders; readonly body?: string }
  readonly resetBefore?: boolean
  readonly hang?: boolean
  /** Bytes of the response body, after which the connection is reset. */
  readonly resetAfterBytes?: number
  /** Bytes of the response body, after which the connection is closed as if the body were complete. */
  readonly truncateAfterBytes?: number
  readonly dripBytesPerSecond?: number
}

export interface FaultLogEntry {
  readonly method: string
  readonly target: string
  readonly rule: FaultRule | undefined
}

const DRIPS_PER_SECOND = 20

/** A proxy in front of a real server. It forwards its own Host header, so that signatures stay valid. */
export class FaultProxy {
  rules: FaultRule[] = []
  readonly log: FaultLogEntry[] = []
  readonly sockets = new Set<Socket>()
  readonly #target: URL
  readonly #agent = new Agent({ keepAlive: true })
  readonly #applied = new Map<FaultRule, number>()
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response).catch(() => request.socket.destroy())
  })

  private constructor(target: string) {
    this.#target = new URL(target)
    this.#server.on('connection', (socket) => {
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
    })
  }

  /** Stops at teardown. Only host and port of `target` are used. */
  static async start(t: Test, target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    t.teardown(async () => {
      proxy.#agent.destroy()
      proxy.#server.closeAllConnections()
      proxy.#server.close()
      await once(proxy.#server, 'close')
    })
    return proxy
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The target's URL through the proxy. */
  get url(): string {
    return this.origin + this.#target.pathname
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const stream of [request, response]) stream.on('error', () => {})
    const rule = this.rules.find(({ match }, index) => this.#isActive(this.rules[index]) && (match?.(request) ?? true))
    if (rule !== undefined) this.#applied.set(rule, (this.#applied.get(rule) ?? 0) + 1)
    this.log.push({ method: request.method ?? '', target: request.url ?? '', rule })
    if (rule?.latencyMs !== undefined) await setTimeout(rule.latencyMs)
    if (rule?.hang === true) return
    if (rule?.resetBefore === true) {
      request.socket.resetAndDestroy()
      return
    }
    if (rule?.response !== undefined) {
      const { status, headers = {}, body = '' } = rule.response
      response.writeHead(status, headers).end(body)
      request.resume()
      return
    }
    const upstream = await this.#forward(request, response)
    response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, withoutHopByHop(upstream.headers))
    response.flushHeaders()
    await relay(upstream, response, rule ?? {})
  }

  #isActive(rule: FaultRule | undefined): boolean {
    return rule !== undefined && (this.#applied.get(rule) ?? 0) < (rule.times ?? Infinity)
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<IncomingMessage> {
    const { hostname, port } = this.#target
    const { method, url: path, headers } = request
    const proxied = httpRequest({ hostname, port, method, path, headers: withoutHopByHop(headers), agent: this.#agent })
    proxied.on('error', () => {})
    // After the exchange, the socket may already serve the next one.
    response.once('close', () => {
      if (!response.writableFinished) proxied.destroy()
    })
    request.pipe(proxied)
    // An interrupted body must not end cleanly on the other side.
    request.once('aborted', () => proxied.destroy())
    const [upstream] = (await once(proxied, 'response')) as [IncomingMessage]
    return upstream
  }
}

async function relay(upstream: IncomingMessage, response: ServerResponse, rule: FaultRule): Promise<void> {
  const { resetAfterBytes, truncateAfterBytes, dripBytesPerSecond } = rule
  const limit = resetAfterBytes ?? truncateAfterBytes ?? Infinity
  const { socket } = response
  let sent = 0
  for await (const chunk of upstream as AsyncIterable<Buffer>) {
    const allowed = chunk.subarray(0, limit - sent)
    if (dripBytesPerSecond === undefined) await write(response, allowed)
    else await drip(response, allowed, dripBytesPerSecond)
    sent += allowed.length
    if (sent < limit) continue
    // A reset discards data that the other side has not read yet, so wait a moment.
    await setTimeout(20)
    if (resetAfterBytes === undefined) socket?.destroy()
    else socket?.resetAndDestroy()
    return
  }
  response.end()
}

async function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  if (response.destroyed || response.write(chunk)) return
  await Promise.race([once(response, 'drain'), once(response, 'close')])
}

async function drip(response: ServerResponse, chunk: Buffer, bytesPerSecond: number): Promise<void> {
  const step = Math.max(1, Math.floor(bytesPerSecond / DRIPS_PER_SECOND))
  for (let at = 0; at < chunk.length && !response.destroyed; at += step) {
    await write(response, chunk.subarray(at, at + step))
    await setTimeout((step / bytesPerSecond) * 1000)
  }
}

/** Removes hop-by-hop headers, except for those that frame the body, which are under test. */
function withoutHopByHop({ connection, 'keep-alive': keepAlive, ...headers }: IncomingMessage['headers']) {
  return headers
}
