import type { SharedFolderKey } from '../cache/shared-tier.ts'
import type { FolderKey } from '../cache/types.ts'
import type { PageParameters } from '../core/backend.ts'
import { type Connection, isSameVersion } from '../core/connection.ts'
import { MAX_CURSOR_LENGTH } from '../core/entry.ts'
import type { TextSealer } from '../core/stores.ts'
import { StorageError } from '../errors.ts'

/** Cache keys and cursors contain all parameters, so that neither is found under others. */
function parameterTexts({ limit, kind }: PageParameters): string[] {
  const texts = { limit: String(limit), kind: kind ?? 'any' } satisfies Record<keyof PageParameters, string>
  return Object.values(texts)
}

/** The scope of a cursor. A cursor is rejected in any other scope. */
export interface CursorScope {
  readonly userId: string
  readonly connectionId: string
  /** `null`: the root. */
  readonly folderId: string | null
  readonly parameters: PageParameters
}

/**
 * Returns the cache key of a page. It contains the connection's version and the generation shared by all processes,
 * so that pages from before a change are never found after it. The cursor is the client's sealed one: it was opened
 * for this scope before the page was cached under this key, so a hit need not open it again.
 */
export function listingKey(
  folder: SharedFolderKey,
  { version, connectedAt }: Connection,
  request: {
    readonly folderId: string | null
    readonly parameters: PageParameters
    readonly cursor: string | undefined
  },
  generation: string | null
): FolderKey {
  const { userId, provider, folderId, connectionId } = folder
  const { folderId: requestedId, parameters, cursor } = request
  // Only the last part may contain a space. Providers that do not normalise treat other forms as other folders.
  const requestedSuffix = requestedId === folderId ? '' : ` ${requestedId}`
  const state = `${version} ${connectedAt.getTime()} ${generation ?? '-'}`
  const variant = `${state} ${parameterTexts(parameters).join(' ')} ${cursor ?? ''}${requestedSuffix}`
  return { userId, provider, folderId, connectionId, variant }
}

/** Returns true if a listing of the `previous` connection may be returned for the `current` one. */
export function isUnchanged(current: Connection, previous: Connection): boolean {
  return isSameVersion(current, previous) && current.status === 'ACTIVE'
}

/** Converts the provider's cursors to sealed cursors for clients, and back. */
export class Cursors {
  readonly #sealer: TextSealer

  constructor(sealer: TextSealer) {
    this.#sealer = sealer
  }

  /** Returns the client's cursor, or `null` if the provider's is too long. */
  seal(upstream: string, scope: CursorScope): string | null {
    const sealed = this.#sealer.seal(upstream, binding(scope))
    return sealed.length > MAX_CURSOR_LENGTH ? null : sealed
  }

  /** @throws StorageError `INVALID_CURSOR` */
  open(cursor: string, scope: CursorScope): string {
    const upstream = this.#sealer.open(cursor, binding(scope))
    if (upstream === null) {
      throw new StorageError('INVALID_CURSOR', 'This cursor does not belong to this listing.')
    }
    return upstream
  }
}

function binding({ userId, connectionId, folderId, parameters }: CursorScope): string[] {
  return [userId, connectionId, folderId === null ? 'root' : `id:${folderId}`, ...parameterTexts(parameters)]
}
