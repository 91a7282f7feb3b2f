import { randomUUID } from 'node:crypto'
import { BlockList, isIP } from 'node:net'
import type { Writable } from 'node:stream'
import {
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
  type RawRequestDefaultExpression
} from 'fastify'
import { systemClock } from '../src/core/time.ts'
import { ClientDisconnected } from '../src/http/in-flight.ts'
import { setFailureSink, logFailure, type LoggedFailure } from '../src/http/problem.ts'
import type { LogLevel } from './config.ts'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

const MAX_CAUSES = 4
const REDACTED = '[hidden]'

/** Maximum lengths of a logged URL, host or address, and message. Without a token, each may have 32 KB. */
const MAX_URL = 1024
const MAX_HOST = 255
const MAX_MESSAGE = 4096

/** A word of a log line. The quotes and escapes of JSON delimit words too. */
const WORD = /[^\s"\\]+/g
const AUTH_SCHEMES = /\b(Bearer|Basic|Digest|Negotiate)\s+[^\s"\\]+/gi
/** A user name and password in a URL. A slash ends each attempt, so repeated `://` stay linear. */
const USER_INFO = /:\/\/[^/?#]+@/g
const HTTP = /https?:\/\/[^?]/i
/** A user name and password, or a host, at the end of a text that was cut: the `@` behind it may be missing. */
const TRUNCATED_USER_INFO = /:\/\/[^\s"\\/?#]*$/

/** Paths where a library may put a whole request into an error or a log line. */
const REDACTED_PATHS = ['headers', '*.headers', '*.*.headers', 'authorization', '*.authorization', 'cookie', '*.cookie']

/**
 * Returns the options of a JSON log. It omits queries, which contain cursors and folder names, headers, and error
 * properties that are not known to be harmless. Finally, `redactSecrets` filters each line.
 */
export function logOptions(level: LogLevel, stream?: Writable): LoggerOptions {
  return {
    level,
    serializers: { req: serializeRequest, err: serializeError },
    redact: { paths: REDACTED_PATHS, censor: REDACTED },
    hooks: {
      streamWrite: redactSecrets,
      logMethod(args, method) {
        const truncated = args.map((arg: unknown) => (typeof arg === 'string' ? truncate(arg, MAX_MESSAGE) : arg))
        method.apply(this, truncated as typeof args)
      }
    },
    ...(stream && { stream })
  }
}

/**
 * Hides credentials and URL queries in a log line; JSON stays valid. Takes time linear in the text, which may contain
 * paths and hosts of unauthenticated requests.
 */
export function redactSecrets(text: string): string {
  const redacted = text.replace(AUTH_SCHEMES, `$1 ${REDACTED}`)
  return redacted.includes('://') ? redacted.replace(WORD, redactUrlSecrets) : redacted
}

function redactUrlSecrets(word: string): string {
  if (!word.includes('://')) return word
  const http = word.search(HTTP)
  const query = http === -1 ? -1 : word.indexOf('?', http)
  const redacted = query === -1 || query === word.length - 1 ? word : `${word.slice(0, query)}?${REDACTED}`
  return redacted.replace(USER_INFO, `://${REDACTED}@`)
}

/**
 * Cuts a long text at `maxLength`, in time independent of the rest. A possible beginning of `user:password@` at the
 * cut is hidden, since no pattern finds it without the `@`. Tokens and queries are found by their beginning.
 */
export function truncate(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const redacted = redactSecrets(text.slice(0, maxLength).replace(TRUNCATED_USER_INFO, `://${REDACTED}`))
  return `${redacted.slice(0, maxLength)}…`
}

/** Serializes anything that is logged as `req`. All fields are optional, since logging must never fail. */
export function serializeRequest(request: Partial<FastifyRequest>): Record<string, unknown> {
  const { method, url: routedUrl, originalUrl: url = routedUrl, host, ip } = request
  return {
    method,
    url: url === undefined ? undefined : truncate(url.split('?', 1)[0] ?? '', MAX_URL),
    host: host === undefined ? undefined : truncate(host, MAX_HOST),
    // With trusted proxies, this is text of a header.
    remoteAddress: ip === undefined ? undefined : truncate(ip, MAX_HOST)
  }
}

/** Omits properties that libraries add to their errors: requests, configurations, raw packets. */
function serializeError(error: unknown): SerializedError {
  if (error instanceof Error) return serializeErrorChain(error, MAX_CAUSES)
  return { type: typeof error, message: '', stack: '' }
}

interface SerializedError extends Record<string, unknown> {
  readonly type: string
  readonly message: string
  readonly stack: string
}

function serializeErrorChain(
  error: Error & { code?: unknown; statusCode?: unknown },
  remainingCauses: number
): SerializedError {
  const { name, message, stack, code, statusCode, cause } = error
  return {
    type: name,
    message: truncate(message, MAX_MESSAGE),
    stack: truncate(stack ?? '', 2 * MAX_MESSAGE),
    code: typeof code === 'string' ? code : undefined,
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    cause: cause instanceof Error && remainingCauses > 0 ? serializeErrorChain(cause, remainingCauses - 1) : undefined
  }
}

export const REQUEST_ID_HEADER = 'x-request-id'
/** Request ids of nginx, Envoy, Heroku and AWS fit. They are copied to responses and log lines. */
const REQUEST_ID = /^[\w.:=+-]{1,128}$/
const MAX_USER_AGENT = 256
/** Trusted proxies in a row. */
const MAX_PROXIES = 16
/** Methods that are labels of metrics. Node accepts about 35 of them, from any client. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** The ranges of @fastify/proxy-addr. */
const NAMED_RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']
}

/** A completed request, for metrics. All labels have a bounded number of values. */
export interface CompletedRequest {
  readonly method: string
  /** The pattern of the route, or `unknown`. */
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/**
 * Logs one line per request when its response has closed: the request, the client, the result, and the cause of a
 * failure. Fastify itself logs two, and one more for each failure.
 */
export class RequestLog extends LogController {
  readonly #onCompleted: (request: CompletedRequest) => void

  constructor(onCompleted: (request: CompletedRequest) => void = () => {}) {
    super()
    this.#onCompleted = onCompleted
  }

  /** Called by Fastify for every request, before any hook. */
  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    reply.header(REQUEST_ID_HEADER, request.id)
    const startedAt = systemClock.now()
    // Read now: the address of a disconnected client is unknown.
    const { remoteAddress: ip, ...serialized } = serializeRequest(request)
    const req = { ...serialized, ip }
    let isFinished = false
    let level: 'info' | 'warn' | 'error' = 'info'
    let message = 'request completed'
    let failure: LoggedFailure = {}
    setFailureSink(request, (loggedFailure, failureLevel, failureMessage) => {
      failure = loggedFailure
      level = failureLevel
      message = failureMessage
    })
    reply.raw.once('finish', () => {
      isFinished = true
    })
    // Also emitted for a response that was cut off.
    reply.raw.once('close', () => {
      const elapsedMs = systemClock.now() - startedAt
      const { statusCode } = reply.raw
      request.log[level](
        {
          req,
          route: request.routeOptions.url,
          res: { statusCode },
          responseTime: Math.round(elapsedMs * 10) / 10,
          userAgent: userAgentOf(request),
          ...(!isFinished && { aborted: true }),
          ...failure
        },
        message
      )
      const { method } = request
      this.#onCompleted({
        method: METHODS.has(method) ? method : 'OTHER',
        route: request.routeOptions.url ?? 'unknown',
        status: statusCode,
        seconds: elapsedMs / 1000
      })
    })
  }

  override requestCompleted(): void {
    // Written when the response closes.
  }

  /** Logs a body that failed after the headers were sent. */
  override streamError(error: Error & { code?: unknown }, request: FastifyRequest): void {
    // The client disconnected: the line says so.
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error instanceof ClientDisconnected) return
    logFailure(request, 502, error)
  }
}

/**
 * Returns a function that makes request ids: the `X-Request-Id` of a trusted proxy, or a new one. That of other
 * clients is ignored, since they could use ids of other requests.
 *
 * @param trustedProxies addresses, ranges, and the names of ranges
 */
export function createRequestIdGenerator(
  trustedProxies: readonly string[]
): (request: RawRequestDefaultExpression) => string {
  const isTrusted = compileProxyTrust(trustedProxies)
  return ({ socket, headers }) => {
    const requestId = headers[REQUEST_ID_HEADER]
    // Node joins repeated headers with a comma, which no id contains.
    const isValid = typeof requestId === 'string' && REQUEST_ID.test(requestId)
    return isValid && isTrusted(socket.remoteAddress) ? requestId : randomUUID()
  }
}

/**
 * Returns a function for Fastify's `trustProxy`: whether an address of `X-Forwarded-For` is a trusted proxy. A header
 * may list 3,000 addresses, each of which would be looked up several times per request.
 *
 * @param trustedProxies addresses, ranges, and the names of ranges
 */
export function compileProxyTrust(trustedProxies: readonly string[]): (address?: string, hop?: number) => boolean {
  const trusted = new BlockList()
  for (const range of trustedProxies.flatMap((item) => NAMED_RANGES[item] ?? [item])) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(bits), family)
  }
  return (address = '', hop = 0) => {
    const family = isIP(address)
    return hop < MAX_PROXIES && family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }
}

function userAgentOf({ headers }: FastifyRequest): string | undefined {
  const userAgent = headers['user-agent']
  return userAgent === undefined ? undefined : truncate(userAgent, MAX_USER_AGENT)
}
