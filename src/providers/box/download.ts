import type { Download, DownloadCall } from '../../core/backend.ts'
import { Diagnosis, providerFailure, type StorageError } from '../../errors.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { downloadContent, downloadLatest, readContentUrl } from '../shared/download.ts'
import { failure, unsupportedExportFormat } from '../shared/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { boxEntry, type ItemId, pathOf } from './entries.ts'
import { type BoxSession, getItem } from './session.ts'

const SERVICE = 'Box'

/** Downloads a file from the URL that Box issues for its content. */
export async function downloadFile(session: BoxSession, itemId: ItemId, call: DownloadCall): Promise<Download> {
  if (itemId.type === 'folder') throw failure('OBJECT_NOT_FOUND')
  if (call.exportAs !== undefined) throw unsupportedExportFormat()
  return downloadLatest(
    SERVICE,
    () => getItem(session, itemId, call, 'OBJECT_NOT_FOUND'),
    async (item) => {
      if (itemId.type === 'web_link') throw failure('UNSUPPORTED', 'A web link has no content')
      return downloadContent(boxEntry(item), call, {
        service: SERVICE,
        request: async (headers) => {
          const url = await getContentUrl(session, itemId, call)
          const { egress, contentHosts: redirectHosts } = session
          return egress.request({
            method: 'GET',
            url,
            signal: call.signal,
            purpose: 'transfer',
            headers,
            redirectHosts
          })
        },
        readError: (response) =>
          session.client.readError({ url: response.url, signal: call.signal, missing: 'OBJECT_NOT_FOUND' }, response),
        idleMs: session.timeouts.idleMs
      })
    }
  )
}

/** Returns the URL of the content, which is valid for some minutes. */
async function getContentUrl(
  { client, origin, contentHosts }: BoxSession,
  itemId: ItemId,
  { signal }: DownloadCall
): Promise<URL> {
  const url = apiUrl(origin, `${pathOf(itemId)}/content`)
  const request = { url, signal, missing: 'OBJECT_NOT_FOUND', purpose: 'transfer', redirects: 'manual' } as const
  const response = await client.send(request)
  if (response.status !== 202) return readContentUrl(client, request, response, { service: SERVICE, contentHosts })
  await response.discard()
  throw notReady(readRetryAfter(response.headers))
}

/** Box returns 202 shortly after an upload, while the content is not yet available. */
function notReady(retryAfterMs: number | undefined): StorageError {
  return providerFailure('PROVIDER_UNAVAILABLE', {
    cause: new Diagnosis('Box is still preparing the file for downloads'),
    responded: true,
    ...(retryAfterMs !== undefined && { retryAfterMs })
  })
}
