import { Diagnosis, type StorageError } from '../../errors.ts'
import { providerFailure } from '../../errors.ts'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { noSuchFormat } from '../shared/errors.ts'
import { failure } from '../shared/errors.ts'
import { downloadKnown, downloadNewest, dropBody } from '../shared/download.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { boxEntry } from './entries.ts'
import { type BoxId, pathOf } from './entries.ts'
import { type BoxServer, look } from './session.ts'

const SERVICE = 'Box'

/** Downloads a file from the URL that Box issues for its content. */
export async function downloadFile(server: BoxServer, about: BoxId, call: DownloadCall): Promise<Download> {
  if (about.type === 'folder') throw failure('OBJECT_NOT_FOUND')
  if (call.exportAs !== undefined) throw noSuchFormat()
  return downloadNewest(
    SERVICE,
    () => look(server, about, call, 'OBJECT_NOT_FOUND'),
    async (item) => {
      if (about.type === 'web_link') throw failure('UNSUPPORTED', 'A web link has no content')
      return downloadKnown(boxEntry(item), call, {
        service: SERVICE,
        request: async (headers) => {
          const url = await contentUrl(server, about, call)
          const { egress, contentHosts: redirectHosts } = server
          return egress.request({
            method: 'GET',
            url,
            signal: call.signal,
            purpose: 'transfer',
            headers,
            redirectHosts
          })
        },
        refusal: (answer) =>
          server.client.refusal({ url: answer.url, signal: call.signal, missing: 'OBJECT_NOT_FOUND' }, answer),
        idleMs: server.timeouts.idleMs
      })
    }
  )
}

/**
 * Returns the URL of the content, which is valid for some minutes. The URL grants access by itself: requests to it
 * carry no token, and no message contains it.
 */
async function contentUrl(server: BoxServer, about: BoxId, { signal }: DownloadCall): Promise<URL> {
  const url = apiUrl(server.api, `${pathOf(about)}/content`)
  const ask = { url, signal, missing: 'OBJECT_NOT_FOUND', purpose: 'transfer', redirects: 'manual' } as const
  const answer = await server.client.exchange(ask)
  const { status, headers } = answer
  if (status === 302) {
    await answer.discard()
    return pinnedUrl(headers['location'], server.contentHosts, 'The download URL from Box')
  }
  if (status === 202) {
    await answer.discard()
    throw notReady(readRetryAfter(headers))
  }
  if (status < 400) {
    dropBody(answer)
    throw failure('PROVIDER_ERROR', `Box returned ${status} instead of a redirect to the content`)
  }
  throw await server.client.refusal(ask, answer)
}

/** Box returns 202 shortly after an upload, while the content is not yet available. */
function notReady(retryAfterMs: number | undefined): StorageError {
  return providerFailure('PROVIDER_UNAVAILABLE', {
    cause: new Diagnosis('Box is still preparing the file for downloads'),
    responded: true,
    ...(retryAfterMs !== undefined && { retryAfterMs })
  })
}
