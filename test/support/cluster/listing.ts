import { parseSnapshot } from './cloud.ts'
import type { ClusterProcess } from './process-client.ts'
import type { CheckedResponse } from './checker.ts'
import { CLUSTER_PROVIDER } from './provider.ts'

export interface ListingRequest {
  readonly userId: string
  readonly folder: string
  /** The user's default if omitted. */
  readonly connectionId?: string | null
  readonly isRefresh?: boolean
  /** The ETag of a listing that the user already has. */
  readonly etag?: string | undefined
}

export interface ListingResponse extends CheckedResponse {
  readonly isHit: boolean
  readonly etag: string | null
  readonly retryAfter: string | null
}

/** Requests a folder from a process. Only the caller knows which listing a 304 confirms. */
export async function requestListing(process: ClusterProcess, request: ListingRequest): Promise<ListingResponse> {
  const { userId, folder, connectionId = null, isRefresh = false, etag } = request
  const query = new URLSearchParams({
    folder,
    ...(connectionId !== null && { connection: connectionId }),
    ...(isRefresh && { refresh: 'true' })
  })
  const path = `/cloud/${CLUSTER_PROVIDER}/listing?${query.toString()}`
  const headers = etag === undefined ? {} : { 'if-none-match': etag }
  const { body, ...response } = await process.send({ path, user: userId, headers })
  const header = (name: string) => (response.headers[name] === undefined ? null : String(response.headers[name]))
  const isError = response.status !== 200 && response.status !== 304
  return {
    userId,
    connectionId,
    isRefresh,
    status: response.status,
    code: isError ? parseCode(body) : null,
    listing: response.status === 200 ? parseListing(body) : null,
    arrivedAt: response.arrivedAt,
    lastCheckedAfter: response.lastCheckedAfter,
    sentAt: response.sentAt,
    isHit: header('cache-status')?.includes('; hit') ?? false,
    etag: header('etag'),
    retryAfter: header('retry-after')
  }
}

function parseListing(body: string): NonNullable<CheckedResponse['listing']> {
  const { connectionId, entries } = JSON.parse(body) as { connectionId: string; entries: { name: string }[] }
  return { connectionId, view: parseSnapshot(entries[0]?.name ?? '') }
}

function parseCode(body: string): string | null {
  try {
    return (JSON.parse(body) as { code?: string }).code ?? null
  } catch {
    return null
  }
}
