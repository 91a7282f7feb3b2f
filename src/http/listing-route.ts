import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ProviderCatalog } from '../connections/provider-catalog.ts'
import { StorageError } from '../errors.ts'
import { parseFolderId } from '../core/ids.ts'
import type { FolderListings, ListFolderRequest, ListFolderResult, ListingStatus } from '../listing/list-folder.ts'
import type { Encoding } from '../listing/rendered-listing.ts'
import { negotiateEncoding, setPrivateHeaders, VARY_COMPRESSED } from './headers.ts'
import { clientSignal } from './in-flight.ts'
import type { DescribeRoute } from './openapi/describe.ts'
import { type ListingQuery, listingQuerySchema } from './schemas.ts'
import { userOf } from './authentication.ts'

export interface ListingRouteDeps {
  readonly providers: ProviderCatalog
  readonly listings: FolderListings
  /** Compresses a listing in the background for later requests. */
  readonly compress: (result: ListFolderResult, encoding: Encoding) => void
  /** @throws StorageError `TOO_MANY_REQUESTS` */
  readonly takeRefresh: (userId: string) => void
}

type ListingRequest = FastifyRequest<{ Params: { provider: string }; Querystring: ListingQuery }>

export function listingRoute(app: FastifyInstance, deps: ListingRouteDeps, describe: DescribeRoute): void {
  const { listings, compress } = deps

  function send(request: ListingRequest, reply: FastifyReply, result: ListFolderResult): FastifyReply {
    const { listing, status } = result
    const encoding = negotiateEncoding(request.headers['accept-encoding'])
    const representation = encoding === null ? listing.identity : (listing.getCompressed(encoding) ?? listing.identity)
    if (encoding !== null && representation.encoding === 'identity') compress(result, encoding)
    setPrivateHeaders(reply, VARY_COMPRESSED)
      .header('age', Math.floor((status.ageMs ?? 0) / 1000))
      .header('cache-status', cacheStatus(status, request.query.refresh))
    const ifNoneMatch = request.headers['if-none-match']
    if (ifNoneMatch !== undefined) {
      // A client with the uncompressed representation has the same listing.
      const { etag } = matches(ifNoneMatch, representation.etag) ? representation : listing.identity
      if (matches(ifNoneMatch, etag)) return reply.header('etag', etag).code(304).send()
    }
    return reply.headers(representation.headers).send(representation.bytes)
  }

  // Not async, so that a cache hit is answered in the same turn of the event loop.
  app.get(
    '/:provider/listing',
    { schema: describe('listFolder', { querystring: listingQuerySchema }), exposeHeadRoute: true },
    (request: ListingRequest, reply) => {
      const parameters = parametersOf(request)
      const repeated = parameters === undefined ? undefined : listings.lookUpRepeated(userOf(request), parameters)
      if (repeated !== undefined) return send(request, reply, repeated)
      const lookup = listings.lookUp(parseListRequest(request, deps), parameters)
      if (lookup.result !== undefined) return send(request, reply, lookup.result)
      return listings.load(lookup, clientSignal(reply)).then((result) => send(request, reply, result))
    }
  )
}

/** Longer texts are not worth their memory. */
const MAX_PARAMETERS_LENGTH = 1024

/**
 * Returns a text that determines which listing a user requests; `undefined` for a long one, and for a page with a cursor,
 * of which each hit may start a read-ahead. Made of the validated query and not of the URL, since a hook of the host may
 * have replaced the query.
 */
function parametersOf({ params, query }: ListingRequest): string | undefined {
  if (query.cursor !== undefined) return undefined
  const text = params.provider + JSON.stringify(query)
  return text.length > MAX_PARAMETERS_LENGTH ? undefined : text
}

/** Parses a request. @throws StorageError `PROVIDER_UNKNOWN`, `INVALID_REQUEST`, `TOO_MANY_REQUESTS` */
function parseListRequest(request: ListingRequest, { providers, takeRefresh }: ListingRouteDeps): ListFolderRequest {
  const { provider } = request.params
  const { folder, connection: connectionId, cursor, refresh, ...parameters } = request.query
  if (!providers.has(provider)) throw new StorageError('PROVIDER_UNKNOWN')
  const folderId = parseFolderId(folder)
  const userId = userOf(request)
  if (refresh) {
    if (cursor !== undefined) {
      throw new StorageError('INVALID_REQUEST', 'refresh cannot be combined with cursor. Omit cursor.')
    }
    takeRefresh(userId)
  }
  return { userId, provider, folderId, connectionId, parameters, cursor, refresh }
}

/** Returns the value of `Cache-Status` (RFC 9211). */
function cacheStatus(status: ListingStatus, refresh: boolean): string {
  const ttl = Math.floor((status.ttlMs ?? 0) / 1000)
  if (status.isShared === true) return `fastify-cloud-storage; hit; ttl=${ttl}; detail=shared`
  if (status.isStale === true) return `fastify-cloud-storage; hit; ttl=${ttl}; detail=stale-if-error`
  if (status.outcome === 'hit' && status.isConfirmed === true) {
    return 'fastify-cloud-storage; fwd=stale; fwd-status=304; stored'
  }
  if (status.outcome === 'hit') return `fastify-cloud-storage; hit; ttl=${ttl}`
  const forward = `fastify-cloud-storage; fwd=${refresh ? 'request' : 'miss'}`
  return forward + (status.stored === true ? '; stored' : '') + (status.outcome === 'join' ? '; collapsed' : '')
}

/** Evaluates `If-None-Match` (RFC 9110 section 13.1.2): weak comparison, with a list or `*`. */
function matches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === etag) return true
  return ifNoneMatch.trim() === '*' || (ifNoneMatch.match(/"[^"]*"/g)?.includes(etag) ?? false)
}
