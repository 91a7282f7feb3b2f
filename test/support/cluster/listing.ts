import { parseView } from './cloud.ts'
import type { ClusterProcess } from './fleet.ts'
import type { JudgedAnswer } from './judge.ts'
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

export interface ListingAnswer extends JudgedAnswer {
  readonly isHit: boolean
  readonly etag: string | null
  readonly retryAfter: string | null
}

/** Requests a folder from a process. Only the caller knows which listing a 304 confirms. */
export async function askListing(process: ClusterProcess, request: ListingRequest): Promise<ListingAnswer> {
  const { userId, folder, connectionId = null, isRefresh = false, etag } = request
  const query = new URLSearchParams({
    folder,
    ...(connectionId !== null && { connection: connectionId }),
    ...(isRefresh && { refresh: 'true' })
  })
  const path = `/cloud/${CLUSTER_PROVIDER}/listing?${query.toString()}`
  const headers = etag === undefined ? {} : { 'if-none-match': etag }
  const { body, ...answer } = await process.ask({ path, user: userId, headers })
  const header = (name: string) => (answer.headers[name] === undefined ? null : String(answer.headers[name]))
  const isRefusal = answer.status !== 200 && answer.status !== 304
  return {
    userId,
    connectionId,
    isRefresh,
    status: answer.status,
    code: isRefusal ? codeIn(body) : null,
    shown: answer.status === 200 ? shownIn(body) : null,
    arrivedAt: answer.arrivedAt,
    lookedAfter: answer.lookedAfter,
    sentAt: answer.sentAt,
    isHit: header('cache-status')?.includes('; hit') ?? false,
    etag: header('etag'),
    retryAfter: header('retry-after')
  }
}

function shownIn(body: string): NonNullable<JudgedAnswer['shown']> {
  const { connectionId, entries } = JSON.parse(body) as { connectionId: string; entries: { name: string }[] }
  return { connectionId, view: parseView(entries[0]?.name ?? '') }
}

function codeIn(body: string): string | null {
  try {
    return (JSON.parse(body) as { code?: string }).code ?? null
  } catch {
    return null
  }
}
