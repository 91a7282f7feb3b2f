import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { type DavServer, type Found, look } from './server.ts'

/**
 * What must be true of a file when it is written, as the headers of the PUT.
 *
 * Servers differ (2026-11): sabre, Nextcloud, Apache and lighttpd check `If-None-Match` and `If-Match` of a PUT;
 * rclone's and npm's `webdav-server` ignore them and overwrite. Where a server was not seen to check, we look right
 * before the write and send the headers nevertheless; what remains then are two writers between the look and the
 * write, of whom the later wins. A version is looked at in any case: it may be that of a weak ETag, which no server
 * may accept as a precondition.
 */
export async function preconditionHeaders(
  server: DavServer,
  url: URL,
  call: UploadCall
): Promise<Readonly<Record<string, string>>> {
  const { ifMatch, ifNoneMatch } = call
  if (ifNoneMatch === '*') {
    if (!server.checksPreconditions && (await find(server, url, call)) !== null) throw failedPrecondition(call)
    return { 'if-none-match': '*' }
  }
  if (ifMatch === undefined) return {}
  if (!server.hasVersions) throw new StorageError('UNSUPPORTED', 'The server cannot tell versions apart.')
  const etag = (await find(server, url, call))?.facts.etag
  if (etag?.opaque !== ifMatch) throw failedPrecondition(call)
  return etag.isWeak ? {} : { 'if-match': `"${etag.opaque}"` }
}

/** What a write comes out as whose precondition did not hold. */
export function failedPrecondition({ ifNoneMatch }: UploadCall): StorageError {
  if (ifNoneMatch === '*') return providerFailure('ALREADY_EXISTS')
  return providerFailure('PRECONDITION_FAILED')
}

/** What is at `url`, or `null`. */
export async function find(server: DavServer, url: URL, call: Pick<UploadCall, 'signal'>): Promise<Found | null> {
  try {
    return await look(server, url, call, 'OBJECT_NOT_FOUND')
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}
