import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { inject } from 'light-my-request'
import type { Test } from 'tap'
import { PROVIDERS } from '../../../src/providers/registry.ts'
import { leftOut } from './left-out-of-prism.ts'
import { readBody } from '../app/read-body.ts'

/** The copy that Fastify depends on. */
const dispatch = createRequire(import.meta.resolve('fastify'))('light-my-request') as typeof inject

type Answer = Awaited<ReturnType<FastifyInstance['inject']>>

/** A violation that Prism finds in a request or a response. */
interface Violation {
  readonly location: readonly string[]
  readonly message: string
}

/** One request, as the command's summary reads it. */
export interface Judged {
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
export function throughPrism(t: Test, app: FastifyInstance, isHost: boolean): void {
  const { PRISM_URL: prism, PRISM_RECORD: record } = process.env
  if (prism === undefined || record === undefined) return
  const test = t.fullname
  const write = (line: object): void => {
    appendFileSync(record, `${JSON.stringify(line)}\n`)
  }
  const reason = leftOut(test)
  if (reason !== undefined) {
    write({ test, leftOut: reason })
    return
  }

  const answer = app.inject.bind(app) as (asked: object) => Promise<Answer>
  const waiting = new Map<string, () => Promise<Answer>>()
  const upstream = createServer((request, response) => {
    const asked = waiting.get(String(request.headers['x-exchange']))
    asked?.().then(
      (said) => response.writeHead(said.statusCode, readable(request, said.headers)).end(said.rawPayload),
      () => response.destroy()
    )
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    upstream.close()
    upstream.closeAllConnections()
  })

  const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request)
    const { method = '', url = '', headers } = request
    const id = randomUUID()
    let said: Promise<Answer> | undefined
    const payload = body.length > 0 && { payload: body }
    waiting.set(id, () => (said ??= answer({ method, url, headers, ...payload })))
    const { port } = upstream.address() as AddressInfo
    const asked = {
      ...passable(headers),
      ...(isHost && { authorization: 'Bearer token' }),
      'x-exchange': id,
      'x-app': String(port)
    }
    const heard = isReadable(url) ? await ask(prism + url, method, asked, body) : UNHEARD
    const isForwarded = said !== undefined
    const { statusCode: status, headers: sent, rawPayload, body: text } = await (said ?? waiting.get(id)!())
    waiting.delete(id)
    const isProblem = String(sent['content-type']).startsWith('application/problem+json') && method !== 'HEAD'
    const { type, code = null } = isProblem ? (JSON.parse(text) as { type?: string; code?: string }) : {}
    write({
      test,
      request: `${method} ${url}`,
      status,
      code,
      isOurs: type !== 'about:blank' && (!isHost || url.startsWith('/cloud/')),
      isOwnForm: isOwnForm(method, url),
      unjudged: !isForwarded
        ? `not passed on: ${heard.text}`
        : heard.status !== status
          ? `answered with ${heard.status}: ${heard.text}`
          : null,
      violations: heard.violations
    } satisfies Judged)
    response.writeHead(status, sent).end(rawPayload)
  }
  const relay = (request: IncomingMessage, response: ServerResponse): void => {
    pass(request, response).catch((error: unknown) => response.destroy(error as Error))
  }

  if (app.server.listenerCount('request') !== 1) throw new Error('somebody else answers too')
  app.server.removeAllListeners('request').on('request', relay)
  const injected = async (asked: Parameters<typeof dispatch>[1]): Promise<Answer> => {
    await app.ready()
    return dispatch(relay, asked)
  }
  app.inject = injected as typeof app.inject
}

/** Returns whether it connects a provider that exists only in a test; its form is not described. */
function isOwnForm(method: string, url: string): boolean {
  const [, provider] = /^\/cloud\/connections\/(\w+)$/.exec(url) ?? []
  return method === 'POST' && provider !== undefined && !(provider in PROVIDERS)
}

/** Removes the headers that belong to the connection. */
function passable({ host: _host, connection: _connection, expect: _expect, ...headers }: IncomingMessage['headers']) {
  const { 'content-length': _length, 'transfer-encoding': _coding, ...rest } = headers
  return rest as Record<string, string | string[]>
}

/** Prism crashes on an invalid escape in a path: `/documents/%ZZ`. */
const UNHEARD = { status: 0, text: 'Prism would end at this path', violations: [] }

function isReadable(url: string): boolean {
  try {
    decodeURIComponent(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

/** Removes headers that Prism cannot handle: it follows redirects, and parses JSON even for `HEAD`. */
function readable({ method }: IncomingMessage, { location: _, ...headers }: Answer['headers']): Answer['headers'] {
  const { 'content-type': type, 'transfer-encoding': _coding, connection: _connection, ...rest } = headers
  return { ...rest, ...(method !== 'HEAD' && type !== undefined && { 'content-type': type }) }
}

async function ask(url: string, method: string, headers: Record<string, string | string[]>, body: Buffer) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const length = body.length > 0 ? { 'content-length': String(body.length) } : {}
    httpRequest(url, { method, headers: { ...headers, ...length }, agent: false }, resolve)
      .once('error', reject)
      .end(body)
  })
  const text = (await readBody(answer)).toString()
  const found = String(answer.headers['sl-violations'] ?? '[]')
  const violations = found.startsWith('[')
    ? (JSON.parse(found) as Violation[])
    : [{ location: ['response'], message: found }]
  return { status: answer.statusCode ?? 0, text: text.slice(0, 300), violations }
}
