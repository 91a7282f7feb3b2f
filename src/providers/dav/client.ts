import { Readable } from 'node:stream'
import type { Egress, HttpAnswer } from '../../core/egress.ts'
import type { Timeouts } from '../../core/stores.ts'
import { httpFailure, incomplete, type Missing } from '../shared/errors.ts'
import { type Authorized, type Authorizer, isStale } from './authorization.ts'
import { type DavResource, readMultistatus } from './multistatus.ts'
import { findRefusal } from './errors.ts'

/** The maximum size of a listing, far above the limit of entries: a last limit for endless responses. */
const MAX_LISTING_BYTES = 128 * 1024 * 1024
const NOTHING_MUCH =
  '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'

export interface DavRequest {
  readonly method: string
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | Readable
  readonly signal: AbortSignal
  readonly purpose?: 'answer' | 'transfer'
  readonly workMs?: number
  readonly maxBytes?: number
}

export interface DavClientOptions {
  readonly egress: Egress
  readonly authorizer: Authorizer
  readonly timeouts: Timeouts
}

export interface Properties {
  readonly answer: HttpAnswer
  readonly resources: AsyncGenerator<DavResource>
}

/** Sends the requests of one user to one server, authenticates them and maps failures to StorageErrors. */
export class DavClient {
  readonly timeouts: Timeouts
  readonly #options: DavClientOptions

  constructor(options: DavClientOptions) {
    this.#options = options
    this.timeouts = options.timeouts
  }

  /**
   * Returns the response, whatever its status.
   *
   * @throws StorageError if the body contradicts the status ({@link findRefusal})
   */
  async send(request: DavRequest): Promise<HttpAnswer> {
    const answer = await this.#authorized(request)
    const refusal = await findRefusal(request, answer, this.timeouts.idleMs)
    if (refusal === null) return answer
    request.signal.throwIfAborted()
    throw refusal
  }

  async #authorized(request: DavRequest): Promise<HttpAnswer> {
    const { authorizer } = this.#options
    if (request.body instanceof Readable && !authorizer.isFixed) return this.#sendOnce(request)
    const sent = authorizer.authorize(authorizedOf(request))
    const answer = await this.#sendAs(request, sent)
    // A redirect keeps the header, but a digest is valid for one URL only: Apache answers 400 for another.
    const isElsewhere = sent !== undefined && answer.url.href !== request.url.href
    const again = { ...request, url: answer.url }
    if (answer.status === 400 && isElsewhere && !authorizer.isFixed) {
      await answer.discard()
      return this.#sendAs(again, authorizer.authorize(authorizedOf(again)))
    }
    return answer.status === 401 ? this.#sendAnswering(again, answer) : answer
  }

  /** Repeats a request with an answer to the challenge of the response that refused it. */
  async #sendAnswering(request: DavRequest, refused: HttpAnswer): Promise<HttpAnswer> {
    const challenge = refused.headers['www-authenticate']
    const attempt = this.#options.authorizer.answer(challenge, authorizedOf(request))
    if (attempt === undefined) return refused
    await refused.discard()
    const answer = await this.#sendAs(request, attempt.value)
    if (answer.status !== 401) attempt.accepted()
    else if (isStale(answer.headers['www-authenticate'])) {
      await answer.discard()
      throw incomplete('The server rejects each Digest nonce as stale')
    }
    return answer
  }

  /**
   * Sends a request with a stream as its body, which cannot be repeated. A harmless request without credentials
   * precedes it, to get a challenge that no other request uses.
   */
  async #sendOnce(request: DavRequest): Promise<HttpAnswer> {
    const { authorizer } = this.#options
    const { url, signal } = request
    const folder = { method: 'PROPFIND', url: new URL('.', url), signal }
    const heard = await this.#sendAs({ ...folder, headers: propfindHeaders(0), body: NOTHING_MUCH }, undefined)
    await heard.discard()
    const challenge = heard.status === 401 ? heard.headers['www-authenticate'] : undefined
    const attempt = authorizer.answer(challenge, authorizedOf(request))
    const answer = await this.#sendAs(request, attempt?.value ?? authorizer.authorize(authorizedOf(request)))
    if (answer.status !== 401) attempt?.accepted()
    else if (isStale(answer.headers['www-authenticate'])) {
      await answer.discard()
      throw incomplete('The server rejects a new Digest nonce as stale')
    }
    return answer
  }

  /** Returns the response if its status is one of `expected`. @throws StorageError for any other status */
  async expect(request: DavRequest, expected: readonly number[], missing: Missing): Promise<HttpAnswer> {
    const answer = await this.send(request)
    if (expected.includes(answer.status)) return answer
    await answer.discard()
    throw httpFailure(request.method, answer, missing)
  }

  /**
   * Requests the properties of one resource, or also of its children. Read the resources to their end, or `return`
   * them.
   *
   * @param body the XML that names the properties
   */
  async propfind(
    request: Omit<DavRequest, 'method' | 'body'> & { readonly depth: 0 | 1; readonly body: string },
    missing: Missing
  ): Promise<Properties> {
    const { depth, headers, ...rest } = request
    const asked = {
      ...(depth === 1 && { maxBytes: MAX_LISTING_BYTES }),
      ...rest,
      method: 'PROPFIND',
      headers: { ...propfindHeaders(depth), ...headers }
    }
    const answer = await this.expect(asked, [207], missing)
    return { answer, resources: readMultistatus(answer.body, this.#options.egress.clock) }
  }

  #sendAs(request: DavRequest, authorization: string | undefined): Promise<HttpAnswer> {
    return this.#options.egress.request({
      ...request,
      headers: { ...request.headers, ...(authorization !== undefined && { authorization }) }
    })
  }
}

function authorizedOf({ method, url }: Pick<DavRequest, 'method' | 'url'>): Authorized {
  return { method, uri: url.pathname + url.search }
}

export function propfindHeaders(depth: 0 | 1): Record<string, string> {
  return { 'content-type': 'application/xml; charset=utf-8', depth: String(depth) }
}
