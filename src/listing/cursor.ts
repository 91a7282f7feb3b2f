import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'
import { StorageError } from '../domain/errors.ts'
import type { TextSealer } from '../domain/ports.ts'

/** What a cursor belongs to: used for anything else, it is refused. */
export interface CursorScope {
  readonly userId: string
  readonly connectionId: string
  readonly folderId: string | null
  readonly limit: number
  readonly kind: 'folder' | 'file' | undefined
}

/** Turns a provider's cursor into one for clients, and back. */
export class Cursors {
  readonly #sealer: TextSealer

  constructor(sealer: TextSealer) {
    this.#sealer = sealer
  }

  /** The client's cursor, or `null` where the provider's is too long to travel. */
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
