import { StorageError } from '../domain/errors.ts'

/** The document after which a page begins, in the order of the list. */
export interface DocumentPlace {
  readonly createdAt: Date
  readonly id: string
}

/** The maximum time value of a `Date`. */
const MAX_MS = 8.64e15

/** Returns a cursor. It is not encrypted: its user knows its content, and every query is limited to that user. */
export function writeCursor({ createdAt, id }: DocumentPlace): string {
  return Buffer.from(JSON.stringify([createdAt.getTime(), id])).toString('base64url')
}

/** Parses a cursor. @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): DocumentPlace {
  const [ms, id, ...more] = parse(cursor)
  const isPlace =
    Number.isSafeInteger(ms) && typeof id === 'string' && id.isWellFormed() && !id.includes('\0') && more.length === 0
  if (!isPlace || (ms as number) < 0 || (ms as number) > MAX_MS) {
    throw new StorageError('INVALID_CURSOR', 'This cursor does not belong to the list of documents.')
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
