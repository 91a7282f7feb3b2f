import type { Connection } from '../domain/connection.ts'
import type { SharedFolder } from '../domain/shared-tier.ts'
import type { CursorScope } from './cursor.ts'
import type { FolderKey } from './folder-key.ts'

/**
 * Returns the cache key of a page. It contains the connection's version and the generation shared by all processes,
 * so that pages from before a change are never found after it. The cursor is the client's sealed one: it was opened
 * for this scope before the page was cached under this key, so a hit need not open it again.
 */
export function listingKey(
  folder: SharedFolder,
  { version, connectedAt }: Connection,
  { folderId: asked, limit, kind }: Pick<CursorScope, 'folderId' | 'limit' | 'kind'>,
  cursor: string | undefined,
  generation: string | null
): FolderKey {
  const { userId, provider, folderId, connectionId } = folder
  // Only the last part may contain a space. Providers that do not normalise treat other forms as other folders.
  const form = asked === folderId ? '' : ` ${asked}`
  const variant = `${version} ${connectedAt.getTime()} ${limit} ${kind ?? '-'} ${generation ?? '-'} ${cursor ?? ''}${form}`
  return { userId, provider, folderId, connectionId, variant }
}

/** Compares `connectedAt`, too: a row that was removed and restored starts with version 1 again. */
function isSameVersion(a: Connection, b: Connection): boolean {
  return a.version === b.version && a.connectedAt.getTime() === b.connectedAt.getTime()
}

/** Returns true if a listing of the connection as it was `before` may be returned `now`. */
export function isUnchanged(now: Connection, before: Connection): boolean {
  return isSameVersion(now, before) && now.status === 'ACTIVE'
}
