import { pipeline, Readable, Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Agent } from 'undici'
import type {
  Egress,
  EgressAgents,
  HttpRequest,
  HttpResponse,
  WebSocketConnection,
  WebSocketRequest
} from '../core/egress.ts'
import type { Timeouts } from '../core/stores.ts'
import { Deadline, raceSignal } from '../core/time.ts'
import { Diagnosis, isStorageError, providerFailure, StorageError } from '../errors.ts'
import type { EgressRules } from './egress-rules.ts'
import { connectionFailure, describeExchange } from './errors.ts'
import { redirectRequest } from './redirects.ts'
import { openWebSocket } from './web-socket.ts'

const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024
/** Bodies up to this size are sent at once. */
const MAX_SHORT_BODY_BYTES = 64 * 1024

const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress]
])

/** The codings in {@link DECODERS}, as a value of `Accept-Encoding`. */
const ACCEPTED_ENCODINGS = 'gzip, deflate, br'

/** The part of a discarded body that is read at most, to reuse its connection. */
const MAX_DISCARDED_BYTES = 64 * 1024

export interface HttpClientOptions extends Pick<Egress, 'agents' | 'transferAgents' | 'clock'> {
  readonly rules: EgressRules
  readonly timeouts: Timeouts
  /** Creates the connections of one pool, before its first request. */
  readonly createDispatcher: () => Promise<Agent>
}

/**
 * An HTTP client with manual redirects, timeouts and limits. It owns its sockets: a socket opened under other rules is
 * never used for its calls.
 */
export class HttpClient implements Egress {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
  readonly clock: Egress['clock']
  readonly #options: HttpClientOptions
  /** Short calls, and bodies that may be paused for minutes: neither waits for a connection of the other. */
  readonly #dispatchers = new Map<'calls' | 'bodies', Promise<Agent>>()
  /** End the open WebSockets, which no agent owns. */
  readonly #webSockets = new Set<(reason: Error) => void>()

  constructor(options: HttpClientOptions) {
    this.agents = options.agents
    this.transferAgents = options.transferAgents
    this.clock = options.clock
    this.#options = options
  }

  assertAllowed(url: URL): void {
    this.#options.rules.assertAllowed(url)
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    // A transfer ends by its caller's signal only.
    const deadline =
      request.purpose === 'transfer'
        ? undefined
        : new Deadline(this.#options.timeouts.totalMs, request.signal, () => providerFailure('PROVIDER_TIMEOUT'))
    try {
      const response = await this.#follow(request, deadline?.signal ?? request.signal)
      deadline?.clearOnClose(response.body)
      return response
    } catch (error) {
      deadline?.clear()
      // The source is not read any more, and may hold a file open.
      if (request.body instanceof Readable) request.body.destroy()
      throw error
    }
  }

  async openWebSocket(request: WebSocketRequest): Promise<WebSocketConnection> {
    const { rules, timeouts } = this.#options
    const { url } = request
    rules.assertAllowed(url)
    return await openWebSocket({
      ...request,
      agents: this.transferAgents,
      userAgent: USER_AGENT,
      openMs: timeouts.headersMs,
      toError: (error) => connectionFailure(error, describeExchange('WebSocket', url)).about({ host: url.host }),
      open: this.#webSockets
    })
  }

  /** Destroys all sockets. */
  async close(): Promise<void> {
    for (const end of [...this.#webSockets]) end(providerFailure('PROVIDER_UNAVAILABLE'))
    for (const { http, https } of [this.agents, this.transferAgents]) {
      http.destroy()
      https.destroy()
    }
    await Promise.all([...this.#dispatchers.values()].map(async (dispatcher) => (await dispatcher).destroy()))
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
    const { rules, timeouts } = this.#options
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
      const agent = await this.#dispatcherOf(isApiCall && !isLong(body) ? 'calls' : 'bodies')
      const sent = agent.request({
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
      })
      const received = await raceSignal(sent, signal, (late) => {
        destroyUnread(late.body)
      })
      const { statusCode: status, body: raw } = received
      const responseHeaders = joinHeaders(received.headers)
      // Responses without a body may have a body's headers, but an empty stream cannot be decompressed.
      const isEmpty = method === 'HEAD' || status === 204 || status === 304 || responseHeaders['content-length'] === '0'
      const coding = isEmpty || !isApiCall ? undefined : responseHeaders['content-encoding']
      const decodedBody = decodeBody(raw, coding, isApiCall ? maxBytes : Infinity, toError)
      return {
        status,
        headers: responseHeaders,
        url,
        body: decodedBody,
        discard: () => discardBody(decodedBody, timeouts.idleMs)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw toError(error)
    }
  }

  #dispatcherOf(pool: 'calls' | 'bodies'): Promise<Agent> {
    const dispatcher = this.#dispatchers.get(pool) ?? this.#options.createDispatcher()
    this.#dispatchers.set(pool, dispatcher)
    return dispatcher
  }
}

/** Returns true if sending may take a while: the time until the response counts from before the first byte. */
function isLong(body: HttpRequest['body']): boolean {
  return body instanceof Readable || (body !== undefined && body.length > MAX_SHORT_BODY_BYTES)
}

function joinHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const joined: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return joined
}

function destroyUnread(raw: Readable): void {
  raw.on('error', () => {}).destroy()
}

/**
 * Decompresses the body of a response and limits it to `maxBytes` of decompressed data, since a small body can expand
 * to a large one.
 *
 * @param contentEncoding `undefined`: the body is passed on unchanged
 * @throws StorageError `PROVIDER_ERROR` for an unknown coding, or more than one
 */
function decodeBody(
  raw: Readable,
  contentEncoding: string | undefined,
  maxBytes: number,
  toError: (error: unknown) => Error
): Readable {
  const coding = contentEncoding?.trim().toLowerCase() ?? ''
  const decoder = DECODERS.get(coding)
  if (decoder === undefined && coding !== '' && coding !== 'identity') {
    destroyUnread(raw)
    throw providerFailure('PROVIDER_ERROR', {
      cause: new Diagnosis('The response has a content coding that was not requested')
    })
  }
  const limited = new LimitedBytes(maxBytes, toError)
  pipeline(decoder === undefined ? [raw, limited] : [raw, decoder(), limited], () => {})
  return limited
}

/** Passes a limited number of bytes, and converts the errors of its sources. */
class LimitedBytes extends Transform {
  readonly #maxBytes: number
  readonly #toError: (error: unknown) => Error
  #received = 0

  constructor(maxBytes: number, toError: (error: unknown) => Error) {
    super()
    this.#maxBytes = maxBytes
    this.#toError = toError
    // A reader gets the error. A body without a reader must not end the process.
    this.on('error', () => {})
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#received += chunk.length
    if (this.#received > this.#maxBytes)
      done(new StorageError('PROVIDER_ERROR', 'The response of the provider is too large.'))
    else done(null, chunk)
  }

  /** Ends one turn late, when the connection is free again: an immediate next call would open another one. */
  override _flush(done: () => void): void {
    setImmediate(done)
  }

  /** Not `_destroy`: async iterators reject with the argument of `destroy`. */
  override destroy(error?: Error): this {
    return super.destroy(error === undefined ? undefined : this.#toError(error))
  }
}

/**
 * Reads the rest of a body, so that its connection is reused. Closes the connection if the rest is long, or does not
 * arrive in time. Never rejects.
 */
async function discardBody(body: Readable, timeoutMs: number): Promise<void> {
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

/** The version of this package. A test compares it with `package.json`, which is not read at run time. */
export const VERSION = '0.1.0'

/** The `User-Agent` of every request. Client libraries append their own product. */
export const USER_AGENT = `fastify-cloud-storage/${VERSION}`
