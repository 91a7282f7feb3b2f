import { isStorageError } from '../errors.ts'
import type {
  Egress,
  EgressAgents,
  HttpRequest,
  HttpResponse,
  WebSocketConnection,
  WebSocketRequest
} from './egress.ts'

/**
 * The egress of one opened connection. Records the host of each call, so that a failure can name the host even if the
 * provider's code or an SDK does not.
 */
export class HostTrail implements Egress {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
  readonly clock: Egress['clock']
  readonly #egress: Egress
  /** Keyed by the call's signal: parallel calls of one connection may reach different hosts. */
  readonly #hostBySignal = new WeakMap<AbortSignal, string>()
  #lastHost: string | undefined

  constructor(egress: Egress) {
    this.agents = egress.agents
    this.transferAgents = egress.transferAgents
    this.clock = egress.clock
    this.#egress = egress
  }

  /** Returns the last host of the call with this signal, or else of the connection. */
  hostOf(signal: AbortSignal): string | undefined {
    return this.#hostBySignal.get(signal) ?? this.#lastHost
  }

  assertAllowed(url: URL): void {
    this.#lastHost = url.host
    try {
      this.#egress.assertAllowed(url)
    } catch (error) {
      throw isStorageError(error) ? error.about({ host: url.host }) : error
    }
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    this.#record(request, request.url)
    const response = await this.#egress.request(request)
    this.#record(request, response.url)
    return response
  }

  async openWebSocket(request: WebSocketRequest): Promise<WebSocketConnection> {
    this.#record(request, request.url)
    return await this.#egress.openWebSocket(request)
  }

  #record({ signal }: Pick<HttpRequest, 'signal'>, { host }: URL): void {
    this.#hostBySignal.set(signal, host)
    this.#lastHost = host
  }
}
