import { Readable } from 'node:stream'
import type { Call } from '../../core/backend.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import type { Egress, HttpRequest, HttpResponse } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import type { ConnectContext } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError } from '../../errors.ts'
import { failure, httpFailure, type NotFoundCode, transientFailure } from '../shared/errors.ts'
import {
  type Authorizer,
  createAuthorizer,
  type DavAuthentication,
  isStale,
  type RequestLine
} from './authorization.ts'
import { type DavMetadata, hasProperties, readMetadata } from './entries.ts'
import { findSpecificError } from './errors.ts'
import { type DavResource, readMultistatus } from './multistatus.ts'
import type { DavPaths } from './paths.ts'

/** The network access of a connection. */
export type Network = Pick<ConnectContext, 'egress' | 'timeouts'>

/** An open connection to a WebDAV server, used by every operation. */
export interface DavSession {
  readonly client: DavClient
  readonly paths: DavPaths
  /** The XML of a PROPFIND for all properties that an entry needs. */
  readonly propfind: string
  /** @param folder the listed folder itself, if the server has sent it before the entry */
  readonly toEntry: (id: string, resource: DavResource, metadata: DavMetadata, folder?: DavResource) => Entry
  /** Returns how the listing of a folder can be confirmed. Absent: no listing can be. */
  readonly freshnessOf?: (folder: DavResource) => PageFreshness | null
  /** Returns the id with which listings show a resource that was found or stored by this id. Never rejects. */
  readonly listedId: (id: string, call: Call) => Promise<string>
  /** Whether files have ETags, among their properties or in the headers of a HEAD. */
  readonly hasVersions: boolean
}

export interface DavItem {
  readonly resource: DavResource
  readonly metadata: DavMetadata
}

/** Gets one resource. @throws StorageError `missing` if it does not exist */
export async function getResource(
  { client, paths, propfind }: DavSession,
  url: URL,
  { signal }: Call,
  missing: NotFoundCode
): Promise<DavItem> {
  const { response, resources } = await client.propfind({ url, signal, depth: 0, body: propfind }, missing)
  const depth = paths.segmentsOf(url.pathname)?.length
  for await (const resource of resources) {
    // Compares the depth, not the names: a server may send a name in another case or normal form.
    if (paths.segmentsOf(resource.href)?.length !== depth) continue
    if (resource.status >= 300) throw httpFailure('PROPFIND', { ...response, status: resource.status }, missing)
    if (hasProperties(resource)) return { resource, metadata: readMetadata(resource) }
  }
  throw failure('PROVIDER_ERROR', 'The server returned no properties of the requested item')
}

/** Returns the resource at `url`, or `null`. */
export async function findResource(session: DavSession, url: URL, call: Call): Promise<DavItem | null> {
  try {
    return await getResource(session, url, call, 'OBJECT_NOT_FOUND')
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}

/** Converts a resource to the entry that a listing contains. @param id the id by which it was found or stored */
export async function toListedEntry(
  session: DavSession,
  id: string,
  { resource, metadata }: DavItem,
  call: Call
): Promise<Entry> {
  return session.toEntry(await session.listedId(id, call), resource, metadata)
}

/** The maximum size of a listing, far above the limit of entries: a last limit for endless responses. */
const MAX_LISTING_BYTES = 128 * 1024 * 1024
const MINIMAL_PROPFIND =
  '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'

/** A PROPFIND of one resource, or also of its children. */
interface Propfind extends Pick<HttpRequest, 'url' | 'signal'> {
  readonly depth: 0 | 1
  /** The XML that names the properties. */
  readonly body: string
}

export interface PropfindResponse {
  readonly response: HttpResponse
  readonly resources: AsyncGenerator<DavResource>
}

/** Sends the requests of one user to one server, authenticates them and maps failures to StorageErrors. */
export class DavClient {
  readonly timeouts: Timeouts
  readonly #egress: Egress
  readonly #authorizer: Authorizer

  /** @throws StorageError `ENDPOINT_FORBIDDEN` */
  constructor(base: URL, authentication: DavAuthentication, { egress, timeouts }: Network) {
    egress.assertAllowed(base)
    this.timeouts = timeouts
    this.#egress = egress
    this.#authorizer = createAuthorizer(authentication)
  }

  /**
   * Returns the response, whatever its status.
   *
   * @throws StorageError if the body contradicts the status ({@link findSpecificError})
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const response = await this.#sendAuthorized(request)
    const specificError = await findSpecificError(request, response, this.timeouts.idleMs)
    if (specificError === null) return response
    request.signal.throwIfAborted()
    throw specificError
  }

  async #sendAuthorized(request: HttpRequest): Promise<HttpResponse> {
    const authorizer = this.#authorizer
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
  async #retryWithChallenge(request: HttpRequest, unauthorized: HttpResponse): Promise<HttpResponse> {
    const challenge = unauthorized.headers['www-authenticate']
    const challengeResponse = this.#authorizer.respondTo(challenge, requestLineOf(request))
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
  async #sendStream(request: HttpRequest): Promise<HttpResponse> {
    const authorizer = this.#authorizer
    const { url, signal } = request
    const probe = propfindRequest({ url: new URL('.', url), signal, depth: 0, body: MINIMAL_PROPFIND })
    const probeResponse = await this.#sendWith(probe, undefined)
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
  async expect(request: HttpRequest, expected: readonly number[], missing: NotFoundCode): Promise<HttpResponse> {
    const response = await this.send(request)
    if (expected.includes(response.status)) return response
    await response.discard()
    throw httpFailure(request.method, response, missing)
  }

  /**
   * Requests the properties of one resource, or also of its children. Read the resources to their end, or `return`
   * them.
   */
  async propfind(propfind: Propfind, missing: NotFoundCode): Promise<PropfindResponse> {
    const response = await this.expect(propfindRequest(propfind), [207], missing)
    return { response, resources: readMultistatus(response.body, this.#egress.clock) }
  }

  #sendWith(request: HttpRequest, authorization: string | undefined): Promise<HttpResponse> {
    return this.#egress.request({
      ...request,
      headers: { ...request.headers, ...(authorization !== undefined && { authorization }) }
    })
  }
}

function requestLineOf({ method, url }: Pick<HttpRequest, 'method' | 'url'>): RequestLine {
  return { method, uri: url.pathname + url.search }
}

export function propfindRequest({ depth, ...rest }: Propfind): HttpRequest {
  return {
    ...rest,
    ...(depth === 1 && { maxBytes: MAX_LISTING_BYTES }),
    method: 'PROPFIND',
    headers: { 'content-type': 'application/xml; charset=utf-8', depth: String(depth) }
  }
}
