import type { ByteRange, Download, DownloadCall } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import type { StorageError } from '../../errors.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import {
  destroyBody,
  downloadLatest,
  type DownloadSizes,
  hasDetectableEnd,
  rangeHeader,
  readContentUrl,
  readResponseSizes,
  resolveRange,
  toTransferBody,
  unsatisfiableRange
} from '../shared/download.ts'
import type { JsonObject } from '../shared/entries.ts'
import { failure, unsupportedExportFormat } from '../shared/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { hasFacet, type ItemId, itemEntry, itemIdOf, pathOf, requireItem, type SiteId } from './entries.ts'
import { type GraphSession, resolveItem } from './session.ts'

const SERVICE = 'OneDrive'
const DOWNLOAD_URL_FIELD = '@microsoft.graph.downloadUrl'
/** Statuses of an expired download URL, or of a removed file. */
const EXPIRED_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 410])

/**
 * Downloads a file from a URL that Graph issues for a few minutes. The URL grants access by itself: requests to it
 * carry no token, and no message contains it. It serves ranges ("Download driveItem content").
 */
export async function downloadFile(session: GraphSession, id: ItemId | SiteId, call: DownloadCall): Promise<Download> {
  const { signal, range } = call
  const itemId = requireItem(id, 'OBJECT_NOT_FOUND')
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  let expiredError: StorageError | null = null
  return downloadLatest(
    SERVICE,
    // Without `$select`, which would omit the download URL even if named (microsoft-graph-docs issue 20212).
    () => resolveItem(session, itemId, call, 'OBJECT_NOT_FOUND', null),
    async (item) => {
      const { kind, name, mimeType, version, modifiedAt } = itemEntry(item, { parentId: null })
      if (kind === 'package') throw failure('UNSUPPORTED', 'The item can only be opened in OneDrive')
      if (kind !== 'file') throw failure('OBJECT_NOT_FOUND')
      if (call.exportAs !== undefined) throw unsupportedExportFormat()
      if (hasFacet(item, 'malware')) throw failure('ACCESS_DENIED', 'Microsoft reports that the file is malware')
      const url = await getContentUrl(session, item, call)
      const { egress, contentHosts: redirectHosts, timeouts } = session
      const response = await egress.request({ method: 'GET', url, signal, headers, purpose: 'transfer', redirectHosts })
      const { status } = response
      if (status === 416) {
        await response.discard()
        throw range === undefined ? unexpectedBytes() : unsatisfiableRange()
      }
      if (status !== 200 && status !== 206) {
        const error = await session.client.readError({ url, signal, missing: 'OBJECT_NOT_FOUND' }, response)
        if (expiredError !== null || !EXPIRED_STATUSES.has(status)) throw error
        expiredError = error
        return null
      }
      const sizes = requireSizes(response, range)
      const body = toTransferBody(response, sizes.expected, { service: SERVICE, idleMs: timeouts.idleMs, signal })
      return { body, size: sizes.size, range: sizes.range, mimeType, name, etag: version, modifiedAt }
    }
  )
}

/** Returns the URL of an item's content. Requests it if the item does not contain it. */
async function getContentUrl(
  { client, origin, contentHosts }: GraphSession,
  item: JsonObject,
  { signal }: DownloadCall
): Promise<URL> {
  const downloadUrl = item[DOWNLOAD_URL_FIELD] ?? null
  if (downloadUrl !== null) return parseProviderUrl(downloadUrl, contentHosts, 'The download URL')
  const url = apiUrl(origin, `${pathOf(itemIdOf(item))}/content`)
  const request = { url, signal, missing: 'OBJECT_NOT_FOUND', purpose: 'transfer', redirects: 'manual' } as const
  return readContentUrl(client, request, await client.send(request), { service: SERVICE, contentHosts })
}

/**
 * Reads the sizes from the response only: for some photos and documents, the size of the item is not that of the
 * content (onedrive-api-docs issues 492 and 1723). Closes the body if it differs from the request.
 *
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, `PROVIDER_ERROR`
 */
function requireSizes(response: HttpResponse, range: ByteRange | undefined): DownloadSizes {
  try {
    const sizes = readResponseSizes(response, range)
    if (sizes === null || !hasDetectableEnd(response, sizes.expected)) throw unexpectedBytes()
    return response.status === 200 && range !== undefined ? requireFullRange(sizes, range) : sizes
  } catch (error) {
    destroyBody(response)
    throw error
  }
}

/** Accepts a whole file for a requested range, but only if the range selects the whole file. */
function requireFullRange({ size, expected }: DownloadSizes, requestedRange: ByteRange): DownloadSizes {
  if (size === null) throw unexpectedBytes()
  const range = resolveRange(requestedRange, size)
  if (range.start !== 0 || range.end !== size - 1) throw unexpectedBytes()
  return { size, range, expected }
}

function unexpectedBytes(): StorageError {
  return failure('PROVIDER_ERROR', `${SERVICE} returned other bytes than requested`)
}
