import type { HttpAnswer } from '../../domain/egress.ts'
import type { StorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Send, SentRequest } from './bearer.ts'
import type { Missing } from './http-failure.ts'
import { readJson } from './read-json.ts'
import { readProblem } from './read-problem.ts'

/** Maps an error response to a StorageError. @param problem the body as JSON; `undefined` if it is not JSON */
export type ToFailure = (
  method: string,
  answer: Omit<HttpAnswer, 'body' | 'discard'>,
  problem: unknown,
  missing: Missing
) => StorageError

/** One call of a provider's API. */
export interface Ask extends Call, Pick<SentRequest, 'headers' | 'purpose' | 'redirects'> {
  /** Defaults to `GET`. */
  readonly method?: string
  readonly url: URL
  /** Sent as JSON, including `null`. */
  readonly json?: unknown
  /** Sent unchanged. */
  readonly body?: SentRequest['body']
  /** The meaning of a 404. */
  readonly missing: Missing
}

/** Calls a JSON API and maps its failures to StorageErrors. */
export class RestClient {
  readonly #send: Send
  readonly #idleMs: number
  readonly #toFailure: ToFailure

  /** @param idleMs the idle timeout of error responses */
  constructor(send: Send, idleMs: number, toFailure: ToFailure) {
    this.#send = send
    this.#idleMs = idleMs
    this.#toFailure = toFailure
  }

  /** Returns the JSON object of a successful response; an empty object for a 204. @throws StorageError */
  async json(ask: Ask): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.ask(ask)
    if (answer.status === 204) {
      await answer.discard()
      return {}
    }
    return await readJson(answer)
  }

  /** Returns a successful response. The caller must consume its body. @throws StorageError */
  async ask(ask: Ask): Promise<HttpAnswer> {
    const answer = await this.exchange(ask)
    if (answer.status >= 200 && answer.status <= 299) return answer
    throw await this.refusal(ask, answer)
  }

  /** Returns the response, whatever its status. */
  async exchange({ method = 'GET', url, signal, headers, json, body, purpose, redirects }: Ask): Promise<HttpAnswer> {
    signal.throwIfAborted()
    return await this.#send({
      method,
      url,
      signal,
      headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(purpose !== undefined && { purpose }),
      ...(redirects !== undefined && { redirects }),
      ...(json === undefined ? body !== undefined && { body } : { body: JSON.stringify(json) })
    })
  }

  /** Maps an error response to a StorageError. */
  async refusal({ method = 'GET', signal, missing }: Ask, answer: HttpAnswer): Promise<StorageError> {
    const problem = await readProblem(answer, this.#idleMs)
    signal.throwIfAborted()
    return this.#toFailure(method, answer, problem, missing)
  }
}
