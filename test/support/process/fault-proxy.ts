import { once } from 'node:events'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import { ForwardingProxy } from '../net/forwarding-proxy.ts'

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

/** A proxy in front of a real server that adds faults. */
export class FaultProxy extends ForwardingProxy {
  rules: FaultRule[] = []
  readonly log: FaultLogEntry[] = []
  readonly #applied = new Map<FaultRule, number>()

  /** Stops at teardown. Only host and port of `target` are used. */
  static async start(t: Test, target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, { keepAlive: true })
    await proxy.listenInFront(t)
    return proxy
  }

  /** The target's URL through the proxy. */
  get url(): string {
    return this.origin + this.target.pathname
  }

  protected override async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#serve(request, response).catch(() => request.socket.destroy())
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
    const upstream = await this.forward(request, response)
    await relay(upstream, response, rule ?? {})
  }

  #isActive(rule: FaultRule | undefined): boolean {
    return rule !== undefined && (this.#applied.get(rule) ?? 0) < (rule.times ?? Infinity)
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
