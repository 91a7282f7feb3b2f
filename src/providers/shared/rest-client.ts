import type { Call } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import type { StorageError } from '../../errors.ts'
import type { Send, ReplayableRequest } from './bearer.ts'
import { asObject, type JsonObject } from './entries.ts'
import { type ErrorResponse, failure, type NotFoundCode } from './errors.ts'

/** Maps an error response to a StorageError. @param errorBody the body as JSON; `undefined` if it is not JSON */
export type ToError = (
  method: string,
  response: ErrorResponse,
  errorBody: unknown,
  missing: NotFoundCode
) => StorageError

/** One call of a provider's API. */
export interface RestRequest extends Call, Pick<ReplayableRequest, 'headers' | 'purpose' | 'redirects'> {
  /** Defaults to `GET`. */
  readonly method?: string
  readonly url: URL
  /** Sent as JSON, including `null`. */
  readonly json?: unknown
  /** Sent unchanged. */
  readonly body?: ReplayableRequest['body']
  /** The meaning of a 404. */
  readonly missing: NotFoundCode
}

/** Calls a JSON API and maps its failures to StorageErrors. */
export class RestClient {
  readonly #send: Send
  readonly #idleMs: number
  readonly #toError: ToError

  /** @param idleMs the idle timeout of error responses */
  constructor(send: Send, idleMs: number, toError: ToError) {
    this.#send = send
    this.#idleMs = idleMs
    this.#toError = toError
  }

  /** Returns the JSON object of a successful response; an empty object for a 204. @throws StorageError */
  async json(request: RestRequest): Promise<JsonObject> {
    const response = await this.request(request)
    if (response.status === 204) {
      await response.discard()
      return {}
    }
    return await readJson(response)
  }

  /** Returns a successful response. The caller must consume its body. @throws StorageError */
  async request(request: RestRequest): Promise<HttpResponse> {
    const response = await this.send(request)
    if (response.status >= 200 && response.status <= 299) return response
    throw await this.readError(request, response)
  }

  /** Returns the response, whatever its status. */
  async send({
    method = 'GET',
    url,
    signal,
    headers,
    json,
    body,
    purpose,
    redirects
  }: RestRequest): Promise<HttpResponse> {
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
  async readError({ method = 'GET', signal, missing }: RestRequest, response: HttpResponse): Promise<StorageError> {
    const errorBody = await readErrorBody(response, this.#idleMs)
    signal.throwIfAborted()
    return this.#toError(method, response, errorBody, missing)
  }
}

/** Builds a URL of an API. @param path percent-encoded where necessary */
export function apiUrl(origin: string, path: string, query: Readonly<Record<string, string>> = {}): URL {
  const url = new URL(path, origin)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url
}

/**
 * Parses the body of a response as a JSON object.
 *
 * @throws StorageError `PROVIDER_ERROR` if it is not JSON, such as an HTML page
 */
export async function readJson(response: Pick<HttpResponse, 'body'>): Promise<JsonObject> {
  return parseJson(await readText(response))
}

/** Reads the body of a response. */
export async function readText({ body }: Pick<HttpResponse, 'body'>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Parses a JSON object. @throws StorageError `PROVIDER_ERROR` if it is not JSON */
export function parseJson(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw failure('PROVIDER_ERROR', 'The response of the server is not valid JSON')
  }
  return asObject(value)
}

/** Error responses have a few hundred bytes. */
const MAX_ERROR_BODY_BYTES = 64 * 1024

/**
 * Reads the JSON of a short response to a transfer request, which has no size limit of its own. Returns `undefined`
 * if the body is not JSON. Never fails, because the status alone is enough to handle the response.
 *
 * @param timeoutMs the deadline for reading the body
 */
export async function readErrorBody(response: Pick<HttpResponse, 'body'>, timeoutMs: number): Promise<unknown> {
  const text = await readErrorText(response, timeoutMs)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  } catch {
    return undefined
  }
}

/** Reads the body as text. Returns `undefined` if it is too long, too slow or truncated. */
export async function readErrorText(
  { body }: Pick<HttpResponse, 'body'>,
  timeoutMs: number
): Promise<string | undefined> {
  const timer = setTimeout(() => body.destroy(), timeoutMs)
  try {
    const chunks: Buffer[] = []
    let remaining = MAX_ERROR_BODY_BYTES
    for await (const chunk of body as AsyncIterable<Buffer>) {
      remaining -= chunk.length
      if (remaining < 0) return undefined
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
