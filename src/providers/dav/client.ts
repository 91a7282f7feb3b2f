import { Readable } from 'node:stream'
import type { Egress, HttpResponse } from '../../core/egress.ts'
import type { Timeouts } from '../../core/stores.ts'
import { httpFailure, transientFailure, type NotFoundCode } from '../shared/errors.ts'
import { type RequestLine, type Authorizer, isStale } from './authorization.ts'
import { type DavResource, readMultistatus } from './multistatus.ts'
import { findSpecificError } from './errors.ts'

/** The maximum size of a listing, far above the limit of entries: a last limit for endless responses. */
const MAX_LISTING_BYTES = 128 * 1024 * 1024
const MINIMAL_PROPFIND =
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

export interface PropfindResponse {
  readonly response: HttpResponse
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
   * @throws StorageError if the body contradicts the status ({@link findSpecificError})
   */
  async send(request: DavRequest): Promise<HttpResponse> {
    const response = await this.#sendAuthorized(request)
    const specificError = await findSpecificError(request, response, this.timeouts.idleMs)
    if (specificError === null) return response
    request.signal.throwIfAborted()
    throw specificError
  }

  async #sendAuthorized(request: DavRequest): Promise<HttpResponse> {
    const { authorizer } = this.#options
    if (request.body instanceof Readable && !authorizer.isFixed) return this.#sendStream(request)
    const authorization = authorizer.authorize(requestLineOf(request))
    const response = await this.#sendWith(request, authorization)
    // A redirect keeps the header, but a digest is valid for one URL only: Apache answers 400 for another.
    const isRedirected = authorization !== undefined && response.url.href !== request.url.href
    const redirected = { ...request, url: response.url }
    if (response.status === 400 && isRedirected && !authorizer.isFixed) {
      await response.discard()
      return this.#sendWith(redirected, authorizer.authorize(requestLineOf(redirected)))
    }
    return response.status === 401 ? this.#retryWithChallenge(redirected, response) : response
  }

  /** Repeats a request with an answer to the challenge of the response that refused it. */
  async #retryWithChallenge(request: DavRequest, unauthorized: HttpResponse): Promise<HttpResponse> {
    const challenge = unauthorized.headers['www-authenticate']
    const challengeResponse = this.#options.authorizer.respondTo(challenge, requestLineOf(request))
    if (challengeResponse === undefined) return unauthorized
    await unauthorized.discard()
    const response = await this.#sendWith(request, challengeResponse.value)
    if (response.status !== 401) challengeResponse.confirm()
    else if (isStale(response.headers['www-authenticate'])) {
      await response.discard()
      throw transientFailure('The server rejects each Digest nonce as stale')
    }
    return response
  }

  /**
   * Sends a request with a stream as its body, which cannot be repeated. A harmless request without credentials
   * precedes it, to get a challenge that no other request uses.
   */
  async #sendStream(request: DavRequest): Promise<HttpResponse> {
    const { authorizer } = this.#options
    const { url, signal } = request
    const probe = { method: 'PROPFIND', url: new URL('.', url), signal }
    const probeResponse = await this.#sendWith(
      { ...probe, headers: propfindHeaders(0), body: MINIMAL_PROPFIND },
      undefined
    )
    await probeResponse.discard()
    const challenge = probeResponse.status === 401 ? probeResponse.headers['www-authenticate'] : undefined
    const challengeResponse = authorizer.respondTo(challenge, requestLineOf(request))
    const response = await this.#sendWith(
      request,
      challengeResponse?.value ?? authorizer.authorize(requestLineOf(request))
    )
    if (response.status !== 401) challengeResponse?.confirm()
    else if (isStale(response.headers['www-authenticate'])) {
      await response.discard()
      throw transientFailure('The server rejects a new Digest nonce as stale')
    }
    return response
  }

  /** Returns the response if its status is one of `expected`. @throws StorageError for any other status */
  async expect(request: DavRequest, expected: readonly number[], missing: NotFoundCode): Promise<HttpResponse> {
    const response = await this.send(request)
    if (expected.includes(response.status)) return response
    await response.discard()
    throw httpFailure(request.method, response, missing)
  }

  /**
   * Requests the properties of one resource, or also of its children. Read the resources to their end, or `return`
   * them.
   *
   * @param body the XML that names the properties
   */
  async propfind(
    request: Omit<DavRequest, 'method' | 'body'> & { readonly depth: 0 | 1; readonly body: string },
    missing: NotFoundCode
  ): Promise<PropfindResponse> {
    const { depth, headers, ...rest } = request
    const propfindRequest = {
      ...(depth === 1 && { maxBytes: MAX_LISTING_BYTES }),
      ...rest,
      method: 'PROPFIND',
      headers: { ...propfindHeaders(depth), ...headers }
    }
    const response = await this.expect(propfindRequest, [207], missing)
    return { response, resources: readMultistatus(response.body, this.#options.egress.clock) }
  }

  #sendWith(request: DavRequest, authorization: string | undefined): Promise<HttpResponse> {
    return this.#options.egress.request({
      ...request,
      headers: { ...request.headers, ...(authorization !== undefined && { authorization }) }
    })
  }
}

function requestLineOf({ method, url }: Pick<DavRequest, 'method' | 'url'>): RequestLine {
  return { method, uri: url.pathname + url.search }
}

export function propfindHeaders(depth: 0 | 1): Record<string, string> {
  return { 'content-type': 'application/xml; charset=utf-8', depth: String(depth) }
}
