import type { Egress, EgressAgents, HttpRequest, HttpAnswer } from './egress.ts'
import { isStorageError } from './errors.ts'

/**
 * The egress of one opened connection. Records the host of each call, so that a failure can name the host even if the
 * provider's code or an SDK does not.
 */
export class HostTrail implements Egress {
  readonly #egress: Egress
  /** Keyed by the call's signal: parallel calls of one connection may reach different hosts. */
  readonly #byCall = new WeakMap<AbortSignal, string>()
  #last: string | undefined

  constructor(egress: Egress) {
    this.#egress = egress
  }

  get agents(): EgressAgents {
    return this.#egress.agents
  }

  get transferAgents(): EgressAgents {
    return this.#egress.transferAgents
  }

  get clock(): Egress['clock'] {
    return this.#egress.clock
  }

  /** Returns the last host of the call with this signal, or else of the connection. */
  hostOf(signal: AbortSignal): string | undefined {
    return this.#byCall.get(signal) ?? this.#last
  }

  assertAllowed(url: URL): void {
    this.#last = url.host
    try {
      this.#egress.assertAllowed(url)
    } catch (error) {
      throw isStorageError(error) ? error.about({ host: url.host }) : error
    }
  }

  async request(request: HttpRequest): Promise<HttpAnswer> {
    this.#note(request, request.url)
    const response = await this.#egress.request(request)
    this.#note(request, response.url)
    return response
  }

  #note({ signal }: HttpRequest, { host }: URL): void {
    this.#byCall.set(signal, host)
    this.#last = host
  }
}
