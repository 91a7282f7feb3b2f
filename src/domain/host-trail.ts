import type { Egress, EgressAgents, HttpRequest, HttpAnswer } from './egress.ts'
import { isStorageError } from './errors.ts'

/**
 * The egress of one opened connection. Records which host each call reached, so that a failure can name it also where
 * the provider's code, or an SDK, does not.
 */
export class HostTrail implements Egress {
  readonly #egress: Egress
  /** By the signal of the call: calls of one connection may reach several hosts at a time. */
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

  /** The host that the call with this signal reached last, or else the connection. */
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
