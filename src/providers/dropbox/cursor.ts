import { readJsonCursor } from '../shared/json-cursor.ts'

/** The position at which a listing continues: a Dropbox page, and an offset in it. */
export interface Place {
  /** Dropbox's cursor of the page; `null` for the first page. */
  readonly token: string | null
  /** The limit of the first request, which Dropbox's cursors retain. */
  readonly pageSize: number
  /** The number of entries of the page that were returned, and a hash of their ids. */
  readonly shown: number
  readonly hash: string
  /** Whether a returned entry may have been deleted since. */
  readonly isStale: boolean
}

const HASH = /^[\w-]{16}$/

export function writeCursor({ token, pageSize, shown, hash, isStale }: Place): string {
  return JSON.stringify([token, pageSize, shown, hash, isStale])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): Place {
  return readJsonCursor(cursor, ([token, pageSize, shown, hash, isStale]) => {
    const isPlace =
      (token === null || (typeof token === 'string' && token !== '')) &&
      isCount(pageSize, 1, 1000) &&
      isCount(shown, token === null ? 1 : 0, 1_000_000) &&
      typeof hash === 'string' &&
      (shown === 0 ? hash === '' : HASH.test(hash)) &&
      typeof isStale === 'boolean'
    return isPlace ? { token, pageSize, shown, hash, isStale } : null
  })
}

function isCount(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}
