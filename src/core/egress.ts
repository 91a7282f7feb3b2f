import type { Agent as HttpAgent } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import type { Clock } from './time.ts'

/** The policy that decides which hosts a provider may reach on behalf of users. */
export interface EgressPolicy {
  /**
   * Rejects forbidden URLs before name resolution. The address is checked later, when it is connected.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`, the same for every reason
   */
  assertAllowed(url: URL): void
}

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  /** Keys are lower-case. */
  readonly headers?: Readonly<Record<string, string>>
  /** A string or buffer can be sent again; a stream cannot. */
  readonly body?: string | Buffer | Readable
  readonly signal: AbortSignal
  /**
   * `answer` (the default): the total timeout covers the whole exchange, and the body is decompressed and limited to
   * `maxBytes`. `transfer`: the raw body is streamed at its reader's pace, without a size limit.
   */
  readonly purpose?: 'answer' | 'transfer'
  /**
   * Time in milliseconds that the server may take before it responds, if longer than usual, for example to copy or
   * assemble a file. Only for `transfer`, which has no total timeout.
   */
  readonly workMs?: number
  /** Largest response after decompression, in bytes. Default 16 MiB. */
  readonly maxBytes?: number
  /**
   * Hosts besides the request's own to which a redirect may lead, over https and without credentials:
   * `content.example.org`, or `*.example.org` for all subdomains.
   */
  readonly redirectHosts?: readonly string[]
  /** `manual`: return a redirect like any other response. The caller checks its target. */
  readonly redirects?: 'follow' | 'manual'
}

export interface HttpResponse {
  readonly status: number
  /** Keys are lower-case; the values of a repeated header are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** URL of the response, after redirects. */
  readonly url: URL
  /** Holds a connection: read it, destroy it, or call `discard`. It fails with `StorageError`s only. */
  readonly body: Readable
  /** Discards the body. The connection is reused if the rest of the body is short. */
  discard(): Promise<void>
}

export interface WebSocketRequest {
  /** `https:` or `http:`, for `wss:` and `ws:`. */
  readonly url: URL
  /** Ends the connection, also after it was made. */
  readonly signal: AbortSignal
  /** The longest silence of the server, in milliseconds. Its pings count. */
  readonly idleMs: number
}

/** A WebSocket of text messages. It ends without a close handshake. */
export interface WebSocketConnection {
  /**
   * The messages of the server, each of at most 64 KiB. They end when the server closes the connection, or with the
   * loop. Rejects with a StorageError, or with the signal's reason.
   */
  readonly messages: AsyncGenerator<string, void, void>
  send(text: string): void
  close(): void
}

/** Agents for SDKs that have their own HTTP client. The same rules apply. */
export interface EgressAgents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/**
 * The network access of a provider: to public addresses over https, and to hosts in the operator's `allowHosts` also
 * over http, at any address. Link-local addresses and cloud metadata services are always refused.
 */
export interface Egress extends EgressPolicy {
  /**
   * Makes one HTTP exchange and returns the response whatever its status. Follows at most three redirects, to the
   * same origin or to `redirectHosts`, and only for methods that read.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`, `PROVIDER_UNAVAILABLE`, `PROVIDER_TIMEOUT`, `PROVIDER_ERROR`; the
   * signal's reason if the caller aborted
   */
  request(request: HttpRequest): Promise<HttpResponse>
  /**
   * Opens a WebSocket (RFC 6455) without extensions, without redirects and without credentials. The caller must close
   * it.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`, `PROVIDER_UNAVAILABLE`, `PROVIDER_TIMEOUT`, `PROVIDER_ERROR`; the
   * signal's reason if the caller aborted
   */
  openWebSocket(request: WebSocketRequest): Promise<WebSocketConnection>
  /** For short calls. */
  readonly agents: EgressAgents
  /** Measures how long it takes to parse a response. */
  readonly clock: Pick<Clock, 'now'>
  /** For downloads and uploads, so that short calls never wait for a socket that a paused body holds. */
  readonly transferAgents: EgressAgents
}
