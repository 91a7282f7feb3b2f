import { readJsonCursor } from '../shared/json-cursor.ts'

/** Where a listing goes on. */
export interface Place {
  /** Box's own. */
  readonly marker: string
  /** How many items Box has told of so far. */
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
