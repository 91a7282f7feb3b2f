import type { HttpAnswer } from '../../core/egress.ts'
import type { StorageError } from '../../errors.ts'
import type { ByteRange, Download, DownloadCall } from '../../core/backend.ts'
import { hasEnd } from '../shared/download.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { rangeHeader, resolveRange, unsatisfiableRange } from '../shared/download.ts'
import { type DownloadSizes, sizesOf } from '../shared/download.ts'
import { noSuchFormat } from '../shared/errors.ts'
import { failure } from '../shared/errors.ts'
import { bodyOf, downloadNewest, dropBody } from '../shared/download.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { hasFacet, itemEntry, itemIdOf, type Resource } from './entries.ts'
import { type ItemId, pathOf } from './entries.ts'
import { type GraphServer, lookThrough } from './session.ts'

const SERVICE = 'OneDrive'
const ADDRESS = '@microsoft.graph.downloadUrl'
/** Statuses of an expired download URL, or of a removed file. */
const LAPSED: ReadonlySet<number> = new Set([401, 403, 404, 410])

/**
 * Downloads a file from a URL that Graph issues for a few minutes. The URL grants access by itself: requests to it
 * carry no token, and no message contains it. It serves ranges ("Download driveItem content").
 */
export async function downloadFile(server: GraphServer, id: ItemId, call: DownloadCall): Promise<Download> {
  const { signal, range } = call
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  let lapsed: StorageError | null = null
  return downloadNewest(
    SERVICE,
    // Without `$select`, which would omit the download URL even if named (microsoft-graph-docs issue 20212).
    () => lookThrough(server, id, call, 'OBJECT_NOT_FOUND', null),
    async (item) => {
      const { kind, name, mimeType, version, modifiedAt } = itemEntry(item, { parentId: null })
      if (kind === 'package') throw failure('UNSUPPORTED', 'The item can only be opened in OneDrive')
      if (kind !== 'file') throw failure('OBJECT_NOT_FOUND')
      if (call.exportAs !== undefined) throw noSuchFormat()
      if (hasFacet(item, 'malware')) throw failure('ACCESS_DENIED', 'Microsoft reports that the file is malware')
      const url = await addressOf(server, item, call)
      const { egress, contentHosts: redirectHosts, timeouts } = server
      const answer = await egress.request({ method: 'GET', url, signal, headers, purpose: 'transfer', redirectHosts })
      const { status } = answer
      if (status === 416) {
        await answer.discard()
        throw range === undefined ? otherBytes() : unsatisfiableRange()
      }
      if (status !== 200 && status !== 206) {
        const why = await server.rest.refusal({ url, signal, missing: 'OBJECT_NOT_FOUND' }, answer)
        if (lapsed !== null || !LAPSED.has(status)) throw why
        lapsed = why
        return null
      }
      const sizes = requireSizes(answer, range)
      const body = bodyOf(answer, sizes.expected, { service: SERVICE, idleMs: timeouts.idleMs, signal })
      return { body, size: sizes.size, range: sizes.range, mimeType, name, etag: version, modifiedAt }
    }
  )
}

/** Returns the URL of an item's content. Requests it if the item does not contain it. */
async function addressOf(server: GraphServer, item: Resource, { signal }: DownloadCall): Promise<URL> {
  const what = 'The download URL'
  const told = item[ADDRESS] ?? null
  if (told !== null) return pinnedUrl(told, server.contentHosts, what)
  const url = apiUrl(server.origin, `${pathOf(itemIdOf(item))}/content`)
  const ask = { url, signal, missing: 'OBJECT_NOT_FOUND', purpose: 'transfer', redirects: 'manual' } as const
  const answer = await server.rest.exchange(ask)
  if (answer.status === 302) {
    await answer.discard()
    return pinnedUrl(answer.headers['location'], server.contentHosts, what)
  }
  if (answer.status >= 400) throw await server.rest.refusal(ask, answer)
  dropBody(answer)
  throw failure('PROVIDER_ERROR', `Graph returned ${answer.status} instead of a redirect to the content`)
}

/**
 * Reads the sizes from the response only: for some photos and documents, the size of the item is not that of the
 * content (onedrive-api-docs issues 492 and 1723). Closes the body if it differs from the request.
 *
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, `PROVIDER_ERROR`
 */
function requireSizes(answer: HttpAnswer, range: ByteRange | undefined): DownloadSizes {
  try {
    const sizes = sizesOf(answer, range)
    if (sizes === null || !hasEnd(answer, sizes.expected)) throw otherBytes()
    return answer.status === 200 && range !== undefined ? wholeOf(sizes, range) : sizes
  } catch (error) {
    dropBody(answer)
    throw error
  }
}

/** Accepts a whole file for a requested range, but only if the range selects the whole file. */
function wholeOf({ size, expected }: DownloadSizes, asked: ByteRange): DownloadSizes {
  if (size === null) throw otherBytes()
  const range = resolveRange(asked, size)
  if (range.start !== 0 || range.end !== size - 1) throw otherBytes()
  return { size, range, expected }
}

function otherBytes(): StorageError {
  return failure('PROVIDER_ERROR', `${SERVICE} returned other bytes than requested`)
}
