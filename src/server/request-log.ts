import { randomUUID } from 'node:crypto'
import { BlockList, isIP } from 'node:net'
import { type FastifyReply, type FastifyRequest, LogController, type RawRequestDefaultExpression } from 'fastify'
import { ClientGone } from '../http/client-signal.ts'
import { collectFailure, type LoggedFailure, logFailure } from '../http/log-failure.ts'
import { systemClock } from '../infra/clock.ts'
import { describeRequest, shortened } from './log-options.ts'

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
    const { remoteAddress: ip, ...described } = describeRequest(request)
    const req = { ...described, ip }
    let isFinished = false
    let level: 'info' | 'warn' | 'error' = 'info'
    let message = 'request completed'
    let failure: LoggedFailure = {}
    collectFailure(request, (noted, notedLevel, notedMessage) => {
      failure = noted
      level = notedLevel
      message = notedMessage
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
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error instanceof ClientGone) return
    logFailure(request, 502, error)
  }
}

/**
 * Returns a function that makes request ids: the `X-Request-Id` of a trusted proxy, or a new one. That of other
 * clients is ignored, since they could use ids of other requests.
 *
 * @param trustedProxies addresses, ranges, and the names of ranges
 */
export function requestIds(trustedProxies: readonly string[]): (request: RawRequestDefaultExpression) => string {
  const isTrusted = trustOf(trustedProxies)
  return ({ socket, headers }) => {
    const given = headers[REQUEST_ID_HEADER]
    // Node joins repeated headers with a comma, which no id contains.
    const isUsable = typeof given === 'string' && REQUEST_ID.test(given)
    return isUsable && isTrusted(socket.remoteAddress) ? given : randomUUID()
  }
}

/**
 * Returns a function for Fastify's `trustProxy`: whether an address of `X-Forwarded-For` is a trusted proxy. A header
 * may list 3,000 addresses, each of which would be looked up several times per request.
 *
 * @param trustedProxies addresses, ranges, and the names of ranges
 */
export function trustOf(trustedProxies: readonly string[]): (address?: string, hop?: number) => boolean {
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
  return userAgent === undefined ? undefined : shortened(userAgent, MAX_USER_AGENT)
}
