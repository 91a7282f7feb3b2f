import type { Agent as HttpAgent } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import type { Clock } from './clock.ts'

/** Which hosts a provider may reach on behalf of users. */
export interface EgressPolicy {
  /**
   * Refuses what can be refused before a name is resolved; the rest is decided on the address that is connected.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`, the same for every reason
   */
  assertAllowed(url: URL): void
}

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  /** A text or bytes can be sent once more, a stream cannot. */
  readonly body?: string | Buffer | Readable
  readonly signal: AbortSignal
  /**
   * `answer` (the default): the whole exchange is under the total deadline, and its body is decompressed and limited
   * to `maxBytes`. `transfer`: the body is handed over as it comes, at its reader's pace and without a limit.
   */
  readonly purpose?: 'answer' | 'transfer'
  /**
   * How long a server may work before it responds, in milliseconds, where that is longer than usual: it copies or
   * assembles a file. Only for `transfer`, which has no total deadline.
   */
  readonly workMs?: number
  /** The largest answer, after decompression. Default 16 MiB. */
  readonly maxBytes?: number
  /**
   * Hosts besides the request's own that a redirect may lead to, over https and without credentials:
   * `content.example.org`, or `*.example.org` for everything below.
   */
  readonly redirectHosts?: readonly string[]
  /** `manual`: a redirect is an answer like any other, for who checks by itself where it leads. */
  readonly redirects?: 'follow' | 'manual'
}

export interface HttpAnswer {
  readonly status: number
  /** By lower-case name; what came several times is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** Where the answer came from, after redirects. */
  readonly url: URL
  /** Read it, destroy it, or call `discard`: it holds a connection. Its failures are `StorageError`s. */
  readonly body: Readable
  /** Lets go of a body that nobody wants, and keeps the connection where the rest is short. */
  discard(): Promise<void>
}

/** The sockets for SDKs that bring an HTTP client of their own, under the same rules. */
export interface EgressAgents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/**
 * The one way out of a provider. Public addresses are reached over https; what the operator's `allowHosts` names is
 * reached over http too, wherever it is; link-local addresses and cloud metadata never are.
 */
export interface Egress extends EgressPolicy {
  /**
   * Makes one HTTP exchange, whatever its status. At most three redirects are followed, to the same origin or to
   * `redirectHosts`, for methods that only read.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`, `PROVIDER_UNAVAILABLE`, `PROVIDER_TIMEOUT`, `PROVIDER_ERROR`; the
   * signal's own reason where the caller aborted
   */
  request(request: HttpRequest): Promise<HttpAnswer>
  /** For calls that end soon. */
  readonly agents: EgressAgents
  /** Measures how much time the parsing of an answer takes. */
  readonly clock: Pick<Clock, 'now'>
  /** For downloads and uploads, so that calls never wait for a socket that a paused body holds. */
  readonly transferAgents: EgressAgents
}
