import { StorageError } from '../domain/errors.ts'

/** Behind which document a page begins, in the order of the list. */
export interface DocumentPlace {
  readonly createdAt: Date
  readonly id: string
}

/** The last moment that a `Date` can hold. */
const MAX_MS = 8.64e15

/** In the open, since it tells its user nothing new, and every question names the user anyway. */
export function writeCursor({ createdAt, id }: DocumentPlace): string {
  return Buffer.from(JSON.stringify([createdAt.getTime(), id])).toString('base64url')
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): DocumentPlace {
  const [ms, id, ...more] = parse(cursor)
  const isPlace =
    Number.isSafeInteger(ms) && typeof id === 'string' && id.isWellFormed() && !id.includes('\0') && more.length === 0
  if (!isPlace || (ms as number) < 0 || (ms as number) > MAX_MS) {
    throw new StorageError('INVALID_CURSOR', 'This is no cursor of the documents.')
  }
  return { createdAt: new Date(ms as number), id }
}

function parse(cursor: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parsed) ? (parsed as unknown[]) : []
  } catch {
    return []
  }
}
