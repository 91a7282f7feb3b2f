import { readJsonCursor } from '../shared/json-cursor.ts'

/** The position at which a listing continues: Google's page token, and the parameters that belong to it. */
export interface Place {
  /** The root lists the shared drives first. */
  readonly phase: 'drives' | 'files'
  /** `null` for the beginning of the phase. */
  readonly token: string | null
  readonly pageSize: number
  readonly driveId: string | null
  /** Whether Google reported an incomplete search for an earlier page. */
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
