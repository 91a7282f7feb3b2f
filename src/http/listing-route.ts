import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { StorageError } from '../errors.ts'
import { parseFolderId } from '../core/ids.ts'
import type { ListFolder, ListFolderAnswer, ListFolderRequest, ListingStatus } from '../listing/list-folder.ts'
import type { Encoding, Representation } from '../listing/rendered-listing.ts'
import { acceptedEncoding } from './headers.ts'
import { clientSignal } from './in-flight.ts'
import type { Describe } from './openapi/describe.ts'
import { privateAnswer, VARY_CODED } from './headers.ts'
import { type ListingQuery, listingQuerySchema } from './schemas.ts'
import { userOf } from './authentication.ts'

export interface ListingRouteDeps {
  readonly hasProvider: (id: string) => boolean
  readonly listFolder: ListFolder
  /** Compresses a listing in the background for later requests. */
  readonly encode: (answer: ListFolderAnswer, encoding: Encoding) => void
  /** @throws StorageError `TOO_MANY_REQUESTS` */
  readonly takeRefresh: (userId: string) => void
}

type ListingRequest = FastifyRequest<{ Params: { provider: string }; Querystring: ListingQuery }>

export function listingRoute(app: FastifyInstance, deps: ListingRouteDeps, describe: Describe): void {
  const { listFolder, encode } = deps

  function send(request: ListingRequest, reply: FastifyReply, answer: ListFolderAnswer): FastifyReply {
    const { listing, status } = answer
    const encoding = acceptedEncoding(request.headers['accept-encoding'])
    const chosen = encoding === null ? listing.identity : (listing.coded(encoding) ?? listing.identity)
    if (encoding !== null && chosen.encoding === 'identity') encode(answer, encoding)
    privateAnswer(reply, VARY_CODED)
      .header('age', Math.floor((status.ageMs ?? 0) / 1000))
      .header('cache-status', cacheStatus(status, request.query.refresh))
    const known = request.headers['if-none-match']
    if (known !== undefined) {
      // A client with the uncompressed representation has the same listing.
      const { etag } = matches(known, chosen.etag) ? chosen : listing.identity
      if (matches(known, etag)) return reply.header('etag', etag).code(304).send()
    }
    return sendBody(reply, chosen)
  }

  // Not async, so that a cache hit is answered in the same turn of the event loop.
  app.get(
    '/:provider/listing',
    { schema: describe('listFolder', { querystring: listingQuerySchema }), exposeHeadRoute: true },
    (request: ListingRequest, reply) => {
      const listed = listedBy(request, deps)
      const kept = listFolder.kept(listed)
      if (kept !== undefined) return send(request, reply, kept)
      return listFolder.load(listed, clientSignal(reply)).then((answer) => send(request, reply, answer))
    }
  )
}

/** Parses a request. @throws StorageError `PROVIDER_UNKNOWN`, `INVALID_REQUEST`, `TOO_MANY_REQUESTS` */
function listedBy(request: ListingRequest, { hasProvider, takeRefresh }: ListingRouteDeps): ListFolderRequest {
  const { provider } = request.params
  const { folder, connection: connectionId, cursor, limit, kind, refresh } = request.query
  if (!hasProvider(provider)) throw new StorageError('PROVIDER_UNKNOWN')
  const folderId = parseFolderId(folder)
  const userId = userOf(request)
  if (refresh) {
    if (cursor !== undefined) {
      throw new StorageError('INVALID_REQUEST', 'refresh cannot be combined with cursor. Omit cursor.')
    }
    takeRefresh(userId)
  }
  return { userId, provider, folderId, connectionId, cursor, limit, kind, refresh }
}

function sendBody(reply: FastifyReply, { bytes, etag, encoding }: Representation): FastifyReply {
  if (encoding !== 'identity') void reply.header('content-encoding', encoding)
  return reply.header('etag', etag).type('application/json; charset=utf-8').send(bytes)
}

/** Returns the value of `Cache-Status` (RFC 9211). */
function cacheStatus(status: ListingStatus, refresh: boolean): string {
  const ttl = Math.floor((status.ttlMs ?? 0) / 1000)
  if (status.isShared === true) return `fastify-cloud-storage; hit; ttl=${ttl}; detail=shared`
  if (status.outcome === 'hit') return `fastify-cloud-storage; hit; ttl=${ttl}`
  const forward = `fastify-cloud-storage; fwd=${refresh ? 'request' : 'miss'}`
  return forward + (status.stored === true ? '; stored' : '') + (status.outcome === 'join' ? '; collapsed' : '')
}

/** Evaluates `If-None-Match` (RFC 9110 section 13.1.2): weak comparison, with a list or `*`. */
function matches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === etag) return true
  return ifNoneMatch.trim() === '*' || (ifNoneMatch.match(/"[^"]*"/g)?.includes(etag) ?? false)
}
