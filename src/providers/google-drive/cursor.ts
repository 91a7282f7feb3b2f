import { readJsonCursor } from '../shared/json-cursor.ts'

/** Where a listing goes on: Google's token, and all that must be as it was when the token was made. */
export interface Place {
  /** The root shows the shared drives first. */
  readonly phase: 'drives' | 'files'
  /** `null`: from the beginning of its phase. */
  readonly token: string | null
  readonly pageSize: number
  readonly driveId: string | null
  /** Whether Google said of a page before that it had not searched everywhere. */
  readonly isPartial: boolean
}

const ID = /^[\w-]{1,200}$/

export function writeCursor({ phase, token, pageSize, driveId, isPartial }: Place): string {
  return JSON.stringify([phase, token, pageSize, driveId, isPartial])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string, limit: number): Place {
  return readJsonCursor(cursor, ([phase, token, pageSize, driveId, isPartial]) => {
    const isPlace =
      (phase === 'files' || (phase === 'drives' && token !== null && driveId === null)) &&
      (token === null || (typeof token === 'string' && token !== '')) &&
      typeof pageSize === 'number' &&
      Number.isInteger(pageSize) &&
      pageSize >= 1 &&
      pageSize <= limit &&
      (driveId === null || (typeof driveId === 'string' && ID.test(driveId))) &&
      typeof isPartial === 'boolean'
    return isPlace ? { phase, token, pageSize, driveId, isPartial } : null
  })
}
