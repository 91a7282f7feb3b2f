import { Buffer } from 'node:buffer'
import type { Egress, HttpRequest, HttpResponse } from '../core/egress.ts'
import type { Timeouts } from '../core/stores.ts'
import { type Clock, systemClock } from '../core/time.ts'
import { parseAllowHosts } from './allow-hosts.ts'
import { EgressRules } from './egress-rules.ts'
import {
  createDispatcher,
  createGuardedAgents,
  MAX_CONNECTIONS,
  type Resolver,
  systemResolver
} from './guarded-connection.ts'
import { HttpClient, USER_AGENT } from './http-client.ts'

export interface EgressOptions {
  /** Additional hosts for users' connections: CIDRs, addresses and names, with or without a port. */
  readonly allowHosts: readonly string[]
  readonly timeouts: Timeouts
  /** Resolves names. Default: the system's resolver. */
  readonly resolve?: Resolver
  /** Default: the system's. */
  readonly clock?: Pick<Clock, 'now'>
  /** Maximal number of connections per origin, for calls and for bodies each. Default 1000. */
  readonly maxConnections?: number
}

/** An {@link Egress} that owns its sockets, which `close` destroys. */
export interface ClosableEgress extends Egress {
  close(): Promise<void>
}

/**
 * Creates the egress of one provider. Calls and bodies have separate pools: a body may be paused for minutes, and
 * bodies that use up their pool must not delay the listings of other users of the same server.
 *
 * @throws Error that names the invalid entry of `allowHosts`
 */
export function createEgress({
  allowHosts,
  timeouts,
  resolve = systemResolver,
  clock = systemClock,
  maxConnections = MAX_CONNECTIONS
}: EgressOptions): ClosableEgress {
  const rules = new EgressRules(parseAllowHosts(allowHosts))
  return new HttpClient({
    rules,
    timeouts,
    clock,
    agents: createGuardedAgents(rules, resolve, maxConnections),
    transferAgents: createGuardedAgents(rules, resolve, maxConnections),
    createDispatcher: () => createDispatcher(rules, resolve, timeouts.connectMs, maxConnections)
  })
}

/** The part of `fetch` that client libraries use. */
export type EgressFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface EgressFetchOptions {
  /** Largest response after decompression, in bytes. */
  readonly maxBytes?: number
  /** For calls without a signal of their own. */
  readonly signal?: AbortSignal
}

/** Statuses for which `Response` does not accept a body. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * Creates a `fetch` for client libraries. Their requests go through `send` like all others. Request bodies are
 * strings, and responses are read completely.
 */
export function createEgressFetch(
  send: (request: HttpRequest) => Promise<HttpResponse>,
  { maxBytes, signal: defaultSignal = new AbortController().signal }: EgressFetchOptions = {}
): EgressFetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const body = toText(init.body)
    const headers = new Headers(init.headers)
    headers.set('user-agent', userAgentWith(headers.get('user-agent')))
    const response = await send({
      method: init.method ?? 'GET',
      url,
      headers: Object.fromEntries(headers),
      signal: init.signal ?? defaultSignal,
      ...(body !== undefined && { body }),
      ...(maxBytes !== undefined && { maxBytes })
    })
    const chunks: Buffer[] = []
    for await (const chunk of response.body as AsyncIterable<Buffer>) chunks.push(chunk)
    const { status } = response
    // The body is already decompressed, so the original coding and length do not apply.
    const { 'content-encoding': _coding, 'content-length': _length, ...responseHeaders } = response.headers
    return new Response(NULL_BODY_STATUSES.has(status) ? null : Buffer.concat(chunks), {
      status,
      headers: responseHeaders
    })
  }
}

function toText(body: RequestInit['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new TypeError('Only text bodies are supported')
}

/**
 * Returns the `User-Agent` of requests that a client library builds.
 *
 * @param library the library's own product; Google compresses only for one that contains `gzip`
 */
export function userAgentWith(library: string | null | undefined): string {
  return library ? `${USER_AGENT} ${library}` : USER_AGENT
}
