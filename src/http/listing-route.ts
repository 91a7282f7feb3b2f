import type { FastifyInstance } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { parseFolderId } from '../domain/folder-id.ts'
import type { ListFolder, ListingStatus } from '../listing/list-folder.ts'
import { clientSignal } from './client-signal.ts'
import { privateAnswer } from './private-answer.ts'
import { type ListingQuery, listingQuerySchema } from './schemas.ts'
import { userOf } from './users.ts'

export interface ListingRouteDeps {
  readonly hasProvider: (id: string) => boolean
  readonly listFolder: ListFolder
  /** @throws StorageError `TOO_MANY_REQUESTS` */
  readonly takeRefresh: (userId: string) => void
}

export function listingRoute(app: FastifyInstance, { hasProvider, listFolder, takeRefresh }: ListingRouteDeps): void {
  app.get<{ Params: { provider: string }; Querystring: ListingQuery }>(
    '/:provider/listing',
    { schema: { querystring: listingQuerySchema }, exposeHeadRoute: true },
    async (request, reply) => {
      const { provider } = request.params
      const { folder, connection, cursor, limit, kind, refresh } = request.query
      if (!hasProvider(provider)) throw new StorageError('PROVIDER_UNKNOWN', 'There is no such provider.')
      const folderId = parseFolderId(folder)
      const userId = userOf(request)
      if (refresh) {
        if (cursor !== undefined)
          throw new StorageError('INVALID_REQUEST', 'A page cannot be refreshed: leave cursor out.')
        takeRefresh(userId)
      }
      const { listing, status } = await listFolder({
        userId,
        provider,
        folderId,
        connectionId: connection,
        cursor,
        limit,
        kind,
        refresh,
        signal: clientSignal(reply)
      })
      privateAnswer(reply)
        .header('etag', listing.etag)
        .header('age', Math.floor((status.ageMs ?? 0) / 1000))
        .header('cache-status', cacheStatus(status, refresh))
      if (matches(request.headers['if-none-match'], listing.etag)) return reply.code(304).send()
      return reply.type('application/json; charset=utf-8').send(listing.bytes)
    }
  )
}

/** RFC 9211. */
function cacheStatus(status: ListingStatus, refresh: boolean): string {
  const ttl = Math.floor((status.ttlMs ?? 0) / 1000)
  if (status.isShared === true) return `fastify-cloud-storage; hit; ttl=${ttl}; detail=shared`
  if (status.outcome === 'hit') return `fastify-cloud-storage; hit; ttl=${ttl}`
  const forward = `fastify-cloud-storage; fwd=${refresh ? 'request' : 'miss'}`
  return forward + (status.stored === true ? '; stored' : '') + (status.outcome === 'join' ? '; collapsed' : '')
}

/** RFC 9110 section 13.1.2: weak comparison, with a list or `*`. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.trim() === '*' || (ifNoneMatch.match(/"[^"]*"/g)?.includes(etag) ?? false)
}
