import type { IncomingMessage, ServerResponse } from 'node:http'
import { FakeServer } from '../fake-server.ts'
import type { Lifetime } from '../lifetime.ts'
import { readBody } from '../../support/app/read-body.ts'

export interface ProxiedRequest {
  readonly method: string
  readonly url: URL
  readonly contentType: string | undefined
  readonly body: string
}

export interface ProxiedResponse {
  readonly status: number
  readonly json: unknown
}

export interface ProxyOptions {
  /** Responds in place of the server behind. */
  readonly respondInstead?: (request: ProxiedRequest) => ProxiedResponse | undefined
  /** Called for each exchange before its response is passed on. */
  readonly onExchange?: (request: ProxiedRequest, answer: ProxiedResponse) => void
}

/** Starts a proxy in front of a server. Returns its origin. A response that is not JSON is `undefined`. */
export async function startProxy(t: Lifetime, target: string, options: ProxyOptions): Promise<string> {
  const proxy = new JsonProxy(target, options)
  await proxy.start(t)
  return proxy.origin
}

class JsonProxy extends FakeServer {
  readonly #target: string
  readonly #options: ProxyOptions

  constructor(target: string, options: ProxyOptions) {
    super()
    this.#target = target
    this.#options = options
  }

  async start(t: Lifetime): Promise<void> {
    await this.listen(t, `the proxy in front of ${this.#target}`)
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#forward(message, response)
    } catch (error) {
      this.mistakes.push(String(error))
      response.destroy()
    }
  }

  async #forward(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = message
    const body = (await readBody(message)).toString()
    const url = new URL(message.url ?? '', this.#target)
    const request = { method, url, contentType: headers['content-type'], body }
    const proxied = this.#options.respondInstead?.(request) ?? (await send(request, headers))
    this.#options.onExchange?.(request, proxied)
    response.writeHead(proxied.status, { 'content-type': 'application/json' })
    response.end(proxied.json === undefined ? '' : JSON.stringify(proxied.json))
  }
}

async function send(
  { method, url, body }: ProxiedRequest,
  headers: IncomingMessage['headers']
): Promise<ProxiedResponse> {
  const forwardedHeaders = ['content-type', 'authorization', 'accept'].flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, String(value)] as [string, string]]
  })
  const response = await fetch(url, { method, headers: forwardedHeaders, ...(body !== '' && { body }) })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}
