import type { Connection } from '../domain/connection.ts'
import type { SharedFolder } from '../domain/shared-tier.ts'
import type { CursorScope } from './cursor.ts'
import type { FolderKey } from './folder-key.ts'

/**
 * The key of a page. The connection's version is a part: what was listed before a change is never found after it. So is
 * the generation that all processes share. The cursor is the client's: under this key there is only what was listed for
 * one that has been opened for this scope, so whoever brings it again need not have it opened again.
 */
export function listingKey(
  folder: SharedFolder,
  { version, connectedAt }: Connection,
  { folderId: asked, limit, kind }: Pick<CursorScope, 'folderId' | 'limit' | 'kind'>,
  cursor: string | undefined,
  generation: string | null
): FolderKey {
  const { userId, provider, folderId, connectionId } = folder
  // No part but the last has a space in it. To providers that do not normalise, other forms are other folders.
  const form = asked === folderId ? '' : ` ${asked}`
  const variant = `${version} ${connectedAt.getTime()} ${limit} ${kind ?? '-'} ${generation ?? '-'} ${cursor ?? ''}${form}`
  return { userId, provider, folderId, connectionId, variant }
}

/** A row that was removed and is there again, as after a restore, begins with the first version once more. */
function isSameVersion(a: Connection, b: Connection): boolean {
  return a.version === b.version && a.connectedAt.getTime() === b.connectedAt.getTime()
}

/** Whether what was listed for a connection may be shown for it as it is now. */
export function isUnchanged(now: Connection, before: Connection): boolean {
  return isSameVersion(now, before) && now.status === 'ACTIVE'
}
