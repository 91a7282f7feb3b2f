import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'
import { StorageError } from '../domain/errors.ts'
import type { TextSealer } from '../domain/ports.ts'

/** The scope of a cursor. A cursor is rejected in any other scope. */
export interface CursorScope {
  readonly userId: string
  readonly connectionId: string
  readonly folderId: string | null
  readonly limit: number
  readonly kind: 'folder' | 'file' | undefined
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

function binding({ userId, connectionId, folderId, limit, kind }: CursorScope): string[] {
  return [userId, connectionId, folderId === null ? 'root' : `id:${folderId}`, String(limit), kind ?? 'any']
}
