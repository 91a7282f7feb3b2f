import { readJsonCursor } from '../shared/json-cursor.ts'

/** The position at which a listing continues. */
export interface Place {
  /** The marker that Box returned. */
  readonly marker: string
  /** The number of items that Box has returned so far. */
  readonly seen: number
}

export function writeCursor({ marker, seen }: Place): string {
  return JSON.stringify([marker, seen])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): Place {
  return readJsonCursor(cursor, ([marker, seen]) => {
    const isPlace =
      typeof marker === 'string' && marker !== '' && typeof seen === 'number' && Number.isSafeInteger(seen) && seen >= 0
    return isPlace ? { marker, seen } : null
  })
}
