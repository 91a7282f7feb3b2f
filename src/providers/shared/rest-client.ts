import type { HttpAnswer } from '../../domain/egress.ts'
import type { StorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Send, SentRequest } from './bearer.ts'
import type { Missing } from './http-failure.ts'
import { readJson } from './read-json.ts'
import { readProblem } from './read-problem.ts'

/** What a provider's refusal means. @param problem the body as JSON; `undefined` where it is none */
export type ToFailure = (
  method: string,
  answer: Omit<HttpAnswer, 'body' | 'discard'>,
  problem: unknown,
  missing: Missing
) => StorageError

/** One call of a provider's API. */
export interface Ask extends Call, Pick<SentRequest, 'headers' | 'purpose' | 'redirects'> {
  /** `GET`, unless said otherwise. */
  readonly method?: string
  readonly url: URL
  /** Sent as JSON, `null` too. */
  readonly json?: unknown
  /** Sent as it is. */
  readonly body?: SentRequest['body']
  /** What a 404 means. */
  readonly missing: Missing
}

/** Calls of a JSON API, with failures that callers know. */
export class RestClient {
  readonly #send: Send
  readonly #idleMs: number
  readonly #toFailure: ToFailure

  /** @param idleMs the longest silence of an answer that says no */
  constructor(send: Send, idleMs: number, toFailure: ToFailure) {
    this.#send = send
    this.#idleMs = idleMs
    this.#toFailure = toFailure
  }

  /** The JSON object of a success; empty where it has no body. @throws StorageError */
  async json(ask: Ask): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.ask(ask)
    if (answer.status === 204) {
      await answer.discard()
      return {}
    }
    return await readJson(answer)
  }

  /** A success, whatever it says. Its body is the caller's. @throws StorageError */
  async ask(ask: Ask): Promise<HttpAnswer> {
    const answer = await this.exchange(ask)
    if (answer.status >= 200 && answer.status <= 299) return answer
    throw await this.refusal(ask, answer)
  }

  /** An answer, whatever its status. */
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

  /** What an answer means that is no success. */
  async refusal({ method = 'GET', signal, missing }: Ask, answer: HttpAnswer): Promise<StorageError> {
    const problem = await readProblem(answer, this.#idleMs)
    signal.throwIfAborted()
    return this.#toFailure(method, answer, problem, missing)
  }
}
