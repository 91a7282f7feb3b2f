import type { Call } from '../../core/backend.ts'
import { type Change, type FeedPage, type PageFreshness, ROOT_SCOPE } from '../../core/change-feed.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { readMetadata } from '../dav/entries.ts'
import type { DavResource } from '../dav/multistatus.ts'
import { type DavSession, getResource } from '../dav/session.ts'
import { readCount } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'

/**
 * Nextcloud has no feed, but a change gives one new ETag to all folders above it. The ETag of the user's root includes
 * those of all mounts in it, so it confirms every folder at once: it is the position. A folder is confirmed by its own
 * ETag and its id, since a folder that was moved to the place of another one may have the same ETag.
 */
const ETAG_PROPFIND =
  '<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" xmlns:o="http://owncloud.org/ns">' +
  '<d:prop><d:getetag/><o:fileid/></d:prop></d:propfind>'

/** A change of the root's ETag does not say what has changed. */
const UNKNOWN_CHANGE: Change = Object.freeze({
  id: null,
  path: null,
  parentId: null,
  isFolder: null,
  isGone: false,
  concerns: 'item'
})

/** Values of a false `is-federated`: PHP writes an empty text. */
const FALSE_VALUES: ReadonlySet<unknown> = new Set(['', '0', 'false'])

export async function fetchPosition(session: DavSession, scope: string, call: Call): Promise<string> {
  if (scope !== ROOT_SCOPE) throw new StorageError('INVALID_REQUEST', 'This provider has no such scope.')
  const { etag } = readMetadata(await fetchFolder(session, null, call))
  if (etag === null) throw failure('PROVIDER_ERROR', 'The server returned no valid ETag of the root folder')
  return etag.opaque
}

export async function fetchChanges(
  session: DavSession,
  scope: string,
  since: string,
  call: Call
): Promise<Exclude<FeedPage, 'lost'>> {
  const position = await fetchPosition(session, scope, call)
  return { position, changes: position === since ? [] : [UNKNOWN_CHANGE], hasMore: false }
}

/** Returns false for a folder that is gone. */
export async function isFolderCurrent(
  session: DavSession,
  folderId: string | null,
  mark: string,
  call: Call
): Promise<boolean> {
  try {
    return markOf(await fetchFolder(session, folderId, call)) === mark
  } catch (error) {
    if (isStorageError(error, 'FOLDER_NOT_FOUND')) return false
    throw error
  }
}

/**
 * Returns how the listing of a folder can be confirmed.
 *
 * @param folder from the listing of the folder itself. Its parent's listing can show another ETag: there, Nextcloud
 * computes the ETags of folders with mounts in them from other permissions (33.0.5)
 */
export function freshnessOf(folder: DavResource): PageFreshness | null {
  const mark = markOf(folder)
  return mark !== null && hasReliableETag(folder) ? { scope: ROOT_SCOPE, mark } : null
}

function markOf(folder: DavResource): string | null {
  const { etag } = readMetadata(folder)
  const fileId = readCount(folder.properties['fileid'])
  return etag === null || fileId === null ? null : `${fileId}:${etag.opaque}`
}

/**
 * Returns whether the ETag of a folder changes with its content. It does not if others can change the content without
 * Nextcloud: in external storages and in federated shares, which Nextcloud compares with its database when a user
 * opens them. `mount-type` is that of the mount that contains the folder, so it has the same value at any depth.
 *
 * Unknown kinds of mounts, and servers without these properties (ownCloud, old Nextclouds), are not trusted.
 */
function hasReliableETag({ properties }: DavResource): boolean {
  const { 'mount-type': type, 'is-federated': isFederated, permissions } = properties
  // M: a mount, although it has no type.
  if (type === '') return typeof permissions === 'string' && !permissions.includes('M')
  return type === 'group' || (type === 'shared' && FALSE_VALUES.has(isFederated))
}

async function fetchFolder(session: DavSession, folderId: string | null, call: Call): Promise<DavResource> {
  const url = session.paths.folderUrlOf(folderId)
  return (await getResource({ ...session, propfind: ETAG_PROPFIND }, url, call, 'FOLDER_NOT_FOUND')).resource
}
