import type { Call, UploadCall } from '../../core/backend.ts'
import { StorageError } from '../../errors.ts'
import { type ETag, readETag } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { parentOf } from '../shared/names.ts'
import { type DavSession, findResource, getResource } from './session.ts'

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
export async function checkTarget(session: DavSession, url: URL, call: UploadCall): Promise<ExistingFile | null> {
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch !== undefined && !session.hasVersions) {
    throw new StorageError('UNSUPPORTED', 'The server does not report file versions. Upload without If-Match.')
  }
  const found = await findResource(session, url, call)
  if (found?.metadata.isCollection === true) throw targetIsFolder()
  if (ifNoneMatch === '*' && found !== null) throw preconditionError(call)
  if (ifMatch === undefined) return found === null ? null : { etag: null }
  const etag = found === null ? null : (found.metadata.etag ?? (await fetchETag(session, url, call)))
  if (etag?.opaque !== ifMatch) throw preconditionError(call)
  return { etag }
}

/** Returns a header with which a MOVE replaces only the checked version (RFC 4918, 10.4.2). */
export function ifHeader(url: URL, existing: ExistingFile | null): Record<string, string> {
  const etag = existing?.etag ?? null
  return etag === null || etag.isWeak ? {} : { if: `<${url.href}> (["${etag.opaque}"])` }
}

/** Returns a file's ETag from its headers, for servers without ETags among the properties, such as nginx 1.22. */
export async function fetchETag({ client }: DavSession, url: URL, { signal }: Call): Promise<ETag | null> {
  const response = await client.send({ method: 'HEAD', url, signal })
  await response.discard()
  return response.status === 200 ? readETag(response.headers['etag']) : null
}

/**
 * Checks the folder of a new file before its content is sent. For a PUT into a missing folder, servers answer 403,
 * 404, 409 or 500, and nginx with `create_full_put_path` creates the folder.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`
 */
export async function requireParent(session: DavSession, id: string, call: Call): Promise<void> {
  const found = await getResource(session, session.paths.urlOf(parentOf(id)), call, 'FOLDER_NOT_FOUND')
  if (!found.metadata.isCollection) throw failure('FOLDER_NOT_FOUND')
}

/** Returns the error of a write after a failed condition. */
export function preconditionError({ ifNoneMatch }: UploadCall): StorageError {
  return failure(ifNoneMatch === '*' ? 'ALREADY_EXISTS' : 'PRECONDITION_FAILED')
}

export function targetIsFolder(): StorageError {
  return new StorageError('ALREADY_EXISTS', 'A folder with this name already exists.')
}
