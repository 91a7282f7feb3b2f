import { StorageError } from '../../domain/errors.ts'

/**
 * Parses a cursor, a JSON array that the same backend wrote.
 *
 * @param read converts the items to a position; returns `null` if they are invalid
 * @throws StorageError `INVALID_CURSOR`
 */
export function readJsonCursor<Place>(cursor: string, read: (items: readonly unknown[]) => Place | null): Place {
  const place = read(itemsOf(cursor))
  if (place === null) throw invalidCursor()
  return place
}

export function invalidCursor(): StorageError {
  return new StorageError('INVALID_CURSOR', 'This cursor does not belong to this listing. List the folder again.')
}

function itemsOf(cursor: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(cursor)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
