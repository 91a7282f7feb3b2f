import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
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
  const errors: unknown[] = []
  const server = createServer((message, response) => {
    forward(target, options, message, response).catch((error: unknown) => {
      errors.push(error)
      response.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    if (errors.length > 0) throw new AggregateError(errors, `the front of ${target} broke: ${errors.join('; ')}`)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function forward(
  target: string,
  options: ProxyOptions,
  message: IncomingMessage,
  response: ServerResponse
): Promise<void> {
  const { method = '', headers } = message
  const body = (await readBody(message)).toString()
  const request = { method, url: new URL(message.url ?? '', target), contentType: headers['content-type'], body }
  const proxied = options.respondInstead?.(request) ?? (await send(request, headers))
  options.onExchange?.(request, proxied)
  response.writeHead(proxied.status, { 'content-type': 'application/json' })
  response.end(proxied.json === undefined ? '' : JSON.stringify(proxied.json))
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
