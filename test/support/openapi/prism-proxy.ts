import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { inject } from 'light-my-request'
import type { Test } from 'tap'
import { PROVIDERS } from '../../../src/providers/registry.ts'
import { prismExclusion } from './prism-exclusions.ts'
import { readBody } from '../app/read-body.ts'

/** The copy that Fastify depends on. */
const dispatch = createRequire(import.meta.resolve('fastify'))('light-my-request') as typeof inject

type InjectResponse = Awaited<ReturnType<FastifyInstance['inject']>>

/** A violation that Prism finds in a request or a response. */
interface Violation {
  readonly location: readonly string[]
  readonly message: string
}

/** One request, as the command's summary reads it. */
export interface PrismRecord {
  readonly test: string
  readonly request: string
  readonly status: number
  /** The code of the problem. */
  readonly code: string | null
  /** Whether the response is described: a host has its own routes and errors. */
  readonly isOurs: boolean
  /** Whether it submits the form of a provider that exists only in a test, which is not described. */
  readonly isOwnForm: boolean
  /** Why Prism could not judge it. */
  readonly unjudged: string | null
  readonly violations: readonly Violation[]
}

/**
 * Sends each request of a test to an app through Prism, if `npm run test:prism` runs it: the app responds to the
 * request from Prism, and Prism passes on the response. Bodies bypass Prism both ways, because it reads them as text,
 * decompresses them, joins headers and follows redirects.
 * @param isHost whether the app hosts the plugin: then only `/cloud` is described, and users authenticate in the
 * host's own way
 */
export function proxyThroughPrism(t: Test, app: FastifyInstance, isHost: boolean): void {
  const { PRISM_URL: prism, PRISM_RECORD: record } = process.env
  if (prism === undefined || record === undefined) return
  const test = t.fullname
  const write = (line: object): void => {
    appendFileSync(record, `${JSON.stringify(line)}\n`)
  }
  const reason = prismExclusion(test)
  if (reason !== undefined) {
    write({ test, leftOut: reason })
    return
  }

  const injectDirectly = app.inject.bind(app) as (asked: object) => Promise<InjectResponse>
  const pending = new Map<string, () => Promise<InjectResponse>>()
  const upstream = createServer((request, response) => {
    const respond = pending.get(String(request.headers['x-exchange']))
    respond?.().then(
      (appResponse) =>
        response
          .writeHead(appResponse.statusCode, prismHeaders(request, appResponse.headers))
          .end(appResponse.rawPayload),
      () => response.destroy()
    )
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    upstream.close()
    upstream.closeAllConnections()
  })

  const exchange = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request)
    const { method = '', url = '', headers } = request
    const id = randomUUID()
    let appResponse: Promise<InjectResponse> | undefined
    const payload = body.length > 0 && { payload: body }
    pending.set(id, () => (appResponse ??= injectDirectly({ method, url, headers, ...payload })))
    const { port } = upstream.address() as AddressInfo
    const forwardedHeaders = {
      ...forwardableHeaders(headers),
      ...(isHost && { authorization: 'Bearer token' }),
      'x-exchange': id,
      'x-app': String(port)
    }
    const prismResponse = isDecodable(url)
      ? await sendToPrism(prism + url, method, forwardedHeaders, body)
      : UNSUPPORTED_PATH
    const isForwarded = appResponse !== undefined
    const {
      statusCode: status,
      headers: responseHeaders,
      rawPayload,
      body: text
    } = await (appResponse ?? pending.get(id)!())
    pending.delete(id)
    const isProblem =
      String(responseHeaders['content-type']).startsWith('application/problem+json') && method !== 'HEAD'
    const { type, code = null } = isProblem ? (JSON.parse(text) as { type?: string; code?: string }) : {}
    write({
      test,
      request: `${method} ${url}`,
      status,
      code,
      isOurs: type !== 'about:blank' && (!isHost || url.startsWith('/cloud/')),
      isOwnForm: isOwnForm(method, url),
      unjudged: !isForwarded
        ? `not passed on: ${prismResponse.text}`
        : prismResponse.status !== status
          ? `answered with ${prismResponse.status}: ${prismResponse.text}`
          : null,
      violations: prismResponse.violations
    } satisfies PrismRecord)
    response.writeHead(status, responseHeaders).end(rawPayload)
  }
  const relay = (request: IncomingMessage, response: ServerResponse): void => {
    exchange(request, response).catch((error: unknown) => response.destroy(error as Error))
  }

  if (app.server.listenerCount('request') !== 1) throw new Error('the server has another request listener')
  app.server.removeAllListeners('request').on('request', relay)
  const injectThroughPrism = async (options: Parameters<typeof dispatch>[1]): Promise<InjectResponse> => {
    await app.ready()
    return dispatch(relay, options)
  }
  app.inject = injectThroughPrism as typeof app.inject
}

/** Returns whether it connects a provider that exists only in a test; its form is not described. */
function isOwnForm(method: string, url: string): boolean {
  const [, provider] = /^\/cloud\/connections\/(\w+)$/.exec(url) ?? []
  return method === 'POST' && provider !== undefined && !(provider in PROVIDERS)
}

/** Removes the headers that belong to the connection. */
function forwardableHeaders({
  host: _host,
  connection: _connection,
  expect: _expect,
  ...headers
}: IncomingMessage['headers']) {
  const { 'content-length': _length, 'transfer-encoding': _coding, ...rest } = headers
  return rest as Record<string, string | string[]>
}

/** Prism crashes on an invalid escape in a path: `/documents/%ZZ`. */
const UNSUPPORTED_PATH = { status: 0, text: 'Prism would end at this path', violations: [] }

function isDecodable(url: string): boolean {
  try {
    decodeURIComponent(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

/** Removes headers that Prism cannot handle: it follows redirects, and parses JSON even for `HEAD`. */
function prismHeaders(
  { method }: IncomingMessage,
  { location: _, ...headers }: InjectResponse['headers']
): InjectResponse['headers'] {
  const { 'content-type': type, 'transfer-encoding': _coding, connection: _connection, ...rest } = headers
  return { ...rest, ...(method !== 'HEAD' && type !== undefined && { 'content-type': type }) }
}

async function sendToPrism(url: string, method: string, headers: Record<string, string | string[]>, body: Buffer) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const length = body.length > 0 ? { 'content-length': String(body.length) } : {}
    httpRequest(url, { method, headers: { ...headers, ...length }, agent: false }, resolve)
      .once('error', reject)
      .end(body)
  })
  const text = (await readBody(response)).toString()
  const violationsHeader = String(response.headers['sl-violations'] ?? '[]')
  const violations = violationsHeader.startsWith('[')
    ? (JSON.parse(violationsHeader) as Violation[])
    : [{ location: ['response'], message: violationsHeader }]
  return { status: response.statusCode ?? 0, text: text.slice(0, 300), violations }
}
