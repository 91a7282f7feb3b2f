import { Readable } from 'node:stream'
import type { Agent } from 'undici'
import type { HttpResponse, HttpRequest } from '../core/egress.ts'
import type { Timeouts } from '../core/stores.ts'
import { Deadline, raceSignal } from '../core/time.ts'
import { Diagnosis, isStorageError, providerFailure, StorageError } from '../errors.ts'
import type { EgressRules } from './egress-rules.ts'
import { connectionFailure, describeExchange } from './errors.ts'
import { ACCEPTED_ENCODINGS, decodeBody, verbatimBody } from './response-body.ts'

const MAX_REDIRECTS = 3
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Methods that only read, so that a redirect can be followed. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND'])
/** The only headers sent to another host. None can be a credential, for which providers have names of their own. */
const CROSS_ORIGIN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'depth',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'user-agent'
])
const HTTP = /^https?:$/
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024
/** Bodies up to this size are sent at once. */
const MAX_SHORT_BODY_BYTES = 64 * 1024
/** The part of a discarded body that is read at most, to reuse its connection. */
const MAX_DISCARDED_BYTES = 64 * 1024

/** Short calls, and bodies that may be paused for minutes: neither waits for a connection of the other. */
export type PoolKind = 'calls' | 'bodies'

export interface HttpClientOptions {
  readonly rules: EgressRules
  readonly timeouts: Timeouts
  readonly dispatcher: (pool: PoolKind) => Promise<Agent>
}

/** An HTTP client with manual redirects, timeouts and limits. */
export class HttpClient {
  readonly #options: HttpClientOptions

  constructor(options: HttpClientOptions) {
    this.#options = options
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    // A transfer ends by its caller's signal only.
    const deadline =
      request.purpose === 'transfer'
        ? undefined
        : new Deadline(this.#options.timeouts.totalMs, request.signal, () => providerFailure('PROVIDER_TIMEOUT'))
    try {
      const response = await this.#follow(request, deadline?.signal ?? request.signal)
      if (deadline !== undefined) clearOnClose(deadline, response.body)
      return response
    } catch (error) {
      deadline?.clear()
      // The source is not read any more, and may hold a file open.
      if (request.body instanceof Readable) request.body.destroy()
      throw error
    }
  }

  async #follow(original: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    let request = original
    for (let redirects = 0; ; redirects++) {
      const response = await this.#exchange(request, signal).catch((error: unknown) => {
        throw isStorageError(error) ? error.about({ host: request.url.host }) : error
      })
      const location = response.headers['location']
      if (original.redirects === 'manual' || !REDIRECT_STATUSES.has(response.status) || location === undefined)
        return response
      await response.discard()
      request = { ...request, ...redirectRequest(request, location, redirects) }
    }
  }

  async #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { rules, timeouts, dispatcher } = this.#options
    const { method, url, headers = {}, body, purpose = 'answer', maxBytes = MAX_RESPONSE_BYTES, workMs } = request
    const isApiCall = purpose === 'answer'
    rules.assertAllowed(url)
    signal.throwIfAborted()
    const toError = (error: unknown): Error => {
      if (signal.aborted)
        return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason })
      return connectionFailure(error, describeExchange(method, url)).about({ host: url.host })
    }
    try {
      // A request body waits for its source, whatever the purpose of the response.
      const agent = await dispatcher(isApiCall && !isLong(body) ? 'calls' : 'bodies')
      const {
        statusCode: status,
        headers: received,
        body: raw
      } = await raceSignal(
        agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: {
            'user-agent': USER_AGENT,
            'accept-encoding': isApiCall ? ACCEPTED_ENCODINGS : 'identity',
            ...headers
          },
          body: body ?? null,
          signal,
          // While the body is sent, only a stalled network reaches this limit. After a long body the server has more
          // work to do than after a query.
          headersTimeout: workMs ?? (isLong(body) ? timeouts.totalMs : timeouts.headersMs),
          // The reader of a transfer sets its pace. The code that wraps the body detects stalls.
          bodyTimeout: isApiCall ? timeouts.idleMs : 0
        }),
        signal,
        ({ body: lateBody }) => {
          lateBody.on('error', () => {}).destroy()
        }
      )
      const responseHeaders = joinHeaders(received)
      // Responses without a body may have a body's headers, but an empty stream cannot be decompressed.
      const isEmpty = method === 'HEAD' || status === 204 || status === 304 || responseHeaders['content-length'] === '0'
      const coding = isEmpty ? undefined : responseHeaders['content-encoding']
      const decodedBody = isApiCall ? decodeBody(raw, coding, maxBytes, toError) : verbatimBody(raw, toError)
      return {
        status,
        headers: responseHeaders,
        url,
        body: decodedBody,
        discard: () => discard(decodedBody, timeouts.idleMs)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw toError(error)
    }
  }
}

/** Ends the deadline with the body. From now on, only the socket of the body keeps the process alive. */
function clearOnClose(deadline: Deadline, body: Readable): void {
  deadline.unref()
  if (body.closed) deadline.clear()
  else
    body.once('close', () => {
      deadline.clear()
    })
}

/** Returns true if sending may take a while: the time until the response counts from before the first byte. */
function isLong(body: HttpRequest['body']): boolean {
  return body instanceof Readable || (body !== undefined && body.length > MAX_SHORT_BODY_BYTES)
}

/**
 * Returns the changes for following a redirect.
 *
 * @throws StorageError `SCHEME_MISMATCH` for a redirect from https to http of the same host, or vice versa;
 * `PROVIDER_ERROR` for any other that is not followed
 */
function redirectRequest(request: HttpRequest, location: string, redirects: number): Partial<HttpRequest> {
  const { method, url: from, headers = {}, body, redirectHosts = [] } = request
  if (URL.canParse(location, from.href) && isOtherScheme(from, new URL(location, from))) {
    const cause = new Diagnosis(`${describeExchange(method, from)} was redirected to another scheme`)
    throw providerFailure('SCHEME_MISMATCH', { cause, responded: true })
  }
  const redirectError = (reason: string): StorageError =>
    new StorageError('PROVIDER_ERROR', 'The provider sent a redirect that is not allowed.', {
      cause: new Diagnosis(`${describeExchange(method, from)} was redirected ${reason}`)
    }).about({ host: from.host })
  if (redirects === MAX_REDIRECTS) throw redirectError('too often')
  if (!SAFE_METHODS.has(method)) throw redirectError('although it is a write request')
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body))
    throw redirectError('after its body was sent')
  if (!URL.canParse(location, from.href)) throw redirectError('to an invalid URL')
  const url = new URL(location, from)
  if (url.username !== '' || url.password !== '') throw redirectError('to a URL with a user name')
  if (isSameOrigin(from, url)) return { url }
  if (!isAtDeclaredHost(url, redirectHosts))
    throw redirectError(`to ${HTTP.test(url.protocol) ? url.origin : 'a URL that is not HTTP'}`)
  return {
    url,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => CROSS_ORIGIN_HEADERS.has(name)))
  }
}

function joinHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const joined: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return joined
}

async function discard(body: Readable, timeoutMs: number): Promise<void> {
  let remainingBytes = MAX_DISCARDED_BYTES
  // A transfer has no total timeout.
  const timer = setTimeout(() => body.destroy(), timeoutMs)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      remainingBytes -= chunk.length
      if (remainingBytes < 0) break
    }
  } catch {
    // The body is discarded in any case.
  } finally {
    clearTimeout(timer)
  }
}

/** Returns true if both have the same scheme, host and port. */
export function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin && a.origin !== 'null'
}

/** Returns true for http and https at the same host. Proxies that do not forward the scheme cause such URLs. */
export function isOtherScheme(a: URL, b: URL): boolean {
  const isHttp = (url: URL): boolean => url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp(a) && isHttp(b) && a.hostname === b.hostname && a.protocol !== b.protocol
}

/**
 * Returns true if an external URL stays at the hosts that a provider declares: https, the default port, and a host
 * that is listed (`content.example.org`) or is below a listed one (`*.example.org`).
 */
export function isAtDeclaredHost(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') return false
  return hosts.some((host) => (host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host))
}

/** The version of this package. A test compares it with `package.json`, which is not read at run time. */
export const VERSION = '0.1.0'

/** The `User-Agent` of every request. Client libraries append their own product. */
export const USER_AGENT = `fastify-cloud-storage/${VERSION}`

/** @param library a client library's own product; Google compresses only for one that contains `gzip` */
export function userAgentWith(library: string | null | undefined): string {
  return library ? `${USER_AGENT} ${library}` : USER_AGENT
}
