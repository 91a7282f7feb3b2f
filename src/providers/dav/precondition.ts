import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { Call, UploadCall } from '../../domain/storage-backend.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { failure } from '../shared/http-failure.ts'
import { parentOf } from '../shared/object-path.ts'
import { type ETag, readETag } from './properties.ts'
import { type DavServer, type Found, look } from './server.ts'

/** The file that an upload replaces. */
export interface ExistingFile {
  /** The file's ETag, set only for an upload with `ifMatch`. */
  readonly etag: ETag | null
}

/**
 * Gets the target of an upload and checks the conditions of the call on it. Servers differ in which conditions of a
 * PUT and of a MOVE they check themselves, and none of them may accept a weak ETag (RFC 9110, 13.1.1).
 *
 * @returns `null` if the name is unused
 * @throws StorageError `ALREADY_EXISTS` for a folder, and for any file if `ifNoneMatch` is set;
 * `PRECONDITION_FAILED`; `UNSUPPORTED` for `ifMatch` on a server without ETags
 */
export async function checkTarget(server: DavServer, url: URL, call: UploadCall): Promise<ExistingFile | null> {
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch !== undefined && !server.hasVersions) {
    throw new StorageError('UNSUPPORTED', 'The server does not report file versions. Upload without If-Match.')
  }
  const found = await find(server, url, call)
  if (found?.facts.isCollection === true) throw isAFolder()
  if (ifNoneMatch === '*' && found !== null) throw failedPrecondition(call)
  if (ifMatch === undefined) return found === null ? null : { etag: null }
  const etag = found === null ? null : (found.facts.etag ?? (await etagOfHead(server, url, call)))
  if (etag?.opaque !== ifMatch) throw failedPrecondition(call)
  return { etag }
}

/** Returns a file's ETag from its headers, for servers without ETags among the properties, such as nginx 1.22. */
export async function etagOfHead({ client }: DavServer, url: URL, { signal }: Call): Promise<ETag | null> {
  const answer = await client.send({ method: 'HEAD', url, signal })
  await answer.discard()
  return answer.status === 200 ? readETag(answer.headers['etag']) : null
}

/**
 * Checks the folder of a new file before its content is sent. For a PUT into a missing folder, servers answer 403,
 * 404, 409 or 500, and nginx with `create_full_put_path` creates the folder.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`
 */
export async function requireParent(server: DavServer, id: string, call: Call): Promise<void> {
  const found = await look(server, server.paths.urlOf(parentOf(id)), call, 'FOLDER_NOT_FOUND')
  if (!found.facts.isCollection) throw failure('FOLDER_NOT_FOUND')
}

/** Returns the error of a write after a failed condition. */
export function failedPrecondition({ ifNoneMatch }: UploadCall): StorageError {
  if (ifNoneMatch === '*') return providerFailure('ALREADY_EXISTS')
  return providerFailure('PRECONDITION_FAILED')
}

export function isAFolder(): StorageError {
  return new StorageError('ALREADY_EXISTS', 'A folder with this name already exists.')
}

/** Returns the resource at `url`, or `null`. */
export async function find(server: DavServer, url: URL, call: Call): Promise<Found | null> {
  try {
    return await look(server, url, call, 'OBJECT_NOT_FOUND')
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}
