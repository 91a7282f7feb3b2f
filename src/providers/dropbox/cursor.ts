import { readJsonCursor } from '../shared/json-cursor.ts'

/** Where a listing goes on: which of Dropbox's pages, and behind what of it. */
export interface Place {
  /** Dropbox's cursor of the page; `null` for the first. */
  readonly token: string | null
  /** What was asked for at the first page: Dropbox's cursors keep it. */
  readonly pageSize: number
  /** How much of the page has been shown, and a hash of the ids. */
  readonly shown: number
  readonly hash: string
  /** Whether something that was listed may be gone by now. */
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
