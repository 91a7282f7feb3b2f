import { StorageError } from '../../domain/errors.ts'
import { type DownloadUrl, type DownloadUrlCall, MAX_DOWNLOAD_URL_MS } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { pinnedUrl } from '../shared/pinned-url.ts'
import { asObject, readJson } from '../shared/read-json.ts'
import type { DropboxServer } from './server.ts'

/** The fixed lifetime of a link ("get_temporary_link"). */
const LIFETIME_MS = 4 * 60 * 60_000

/**
 * Returns a temporary link. It lives four hours by Dropbox's clock, whatever was requested. Callers expect the
 * browser to save the file; Dropbox says only that the link "should not be used to display content directly in the
 * browser". Not verified against the service.
 *
 * @throws StorageError `INVALID_REQUEST` unless a longer lifetime is accepted
 */
export async function temporaryLink(
  { client, linkHosts }: DropboxServer,
  id: string,
  { signal, expiresInMs, acceptLonger = false }: DownloadUrlCall
): Promise<DownloadUrl> {
  if (!Number.isFinite(expiresInMs) || expiresInMs < 1 || expiresInMs > MAX_DOWNLOAD_URL_MS) {
    throw new StorageError('INVALID_REQUEST', `The lifetime of a link must be 1 to ${MAX_DOWNLOAD_URL_MS} ms.`)
  }
  if (!acceptLonger) {
    throw new StorageError('INVALID_REQUEST', 'Dropbox links are valid for four hours. Set acceptLonger to allow it.')
  }
  const answer = await client.ask('get_temporary_link', { path: id }, { signal, missing: 'OBJECT_NOT_FOUND' })
  const { link, metadata } = await readJson(answer)
  const madeAt = Date.parse(answer.headers['date'] ?? '')
  if (asObject(metadata)['id'] !== id || Number.isNaN(madeAt)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned a link without its file or its time')
  }
  const url = pinnedUrl(link, linkHosts, 'The temporary link')
  return { url: url.href, expiresAt: new Date(madeAt + LIFETIME_MS) }
}
