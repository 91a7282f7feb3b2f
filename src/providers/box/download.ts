import { Diagnosis, type StorageError } from '../../errors.ts'
import { providerFailure } from '../../errors.ts'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { unsupportedExportFormat } from '../shared/errors.ts'
import { failure } from '../shared/errors.ts'
import { downloadContent, downloadLatest, destroyBody } from '../shared/download.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { boxEntry } from './entries.ts'
import { type ItemId, pathOf } from './entries.ts'
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

/**
 * Returns the URL of the content, which is valid for some minutes. The URL grants access by itself: requests to it
 * carry no token, and no message contains it.
 */
async function getContentUrl(session: BoxSession, itemId: ItemId, { signal }: DownloadCall): Promise<URL> {
  const url = apiUrl(session.origin, `${pathOf(itemId)}/content`)
  const request = { url, signal, missing: 'OBJECT_NOT_FOUND', purpose: 'transfer', redirects: 'manual' } as const
  const response = await session.client.send(request)
  const { status, headers } = response
  if (status === 302) {
    await response.discard()
    return parseProviderUrl(headers['location'], session.contentHosts, 'The download URL from Box')
  }
  if (status === 202) {
    await response.discard()
    throw notReady(readRetryAfter(headers))
  }
  if (status < 400) {
    destroyBody(response)
    throw failure('PROVIDER_ERROR', `Box returned ${status} instead of a redirect to the content`)
  }
  throw await session.client.readError(request, response)
}

/** Box returns 202 shortly after an upload, while the content is not yet available. */
function notReady(retryAfterMs: number | undefined): StorageError {
  return providerFailure('PROVIDER_UNAVAILABLE', {
    cause: new Diagnosis('Box is still preparing the file for downloads'),
    responded: true,
    ...(retryAfterMs !== undefined && { retryAfterMs })
  })
}
