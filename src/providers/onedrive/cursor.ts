import { invalidCursor, readJsonCursor } from '../shared/json-cursor.ts'
import { formatId, type ItemId, parseItemId } from './ids.ts'

/** The collections of which a folder's listing is made, one after the other. */
export type Section = 'sites' | 'drives' | 'items'

/** Where a listing goes on: Graph's own place, and all that must be as it was when that was made. */
export interface Place {
  readonly section: Section
  /** What Graph wants to be asked besides; `null`: from the beginning of the section. */
  readonly query: string | null
  /** The size of Graph's pages. */
  readonly top: number
  /** How much of the section has come so far, what we hide included. */
  readonly seen: number
  /** What is really listed, where the folder is a shortcut to it, or the user's own root by any of its names. */
  readonly at: ItemId | null
  /** Whether a section before told of more than came. */
  readonly isPartial: boolean
}

const SECTIONS: ReadonlySet<unknown> = new Set<Section>(['sites', 'drives', 'items'])
const MAX_QUERY_LENGTH = 3000

export function writeCursor({ section, query, top, seen, at, isPartial }: Place): string {
  return JSON.stringify([section, query, top, seen, at === null ? null : formatId(at), isPartial])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string, limit: number): Place {
  return readJsonCursor(cursor, ([section, query, top, seen, at, isPartial]) => {
    const isPlace =
      isSection(section) &&
      (query === null || (typeof query === 'string' && query !== '' && query.length <= MAX_QUERY_LENGTH)) &&
      isCount(top) &&
      top >= 1 &&
      top <= limit &&
      isCount(seen) &&
      (at === null || typeof at === 'string') &&
      typeof isPartial === 'boolean'
    return isPlace ? { section, query, top, seen, at: at === null ? null : readAt(at), isPartial } : null
  })
}

function isSection(value: unknown): value is Section {
  return SECTIONS.has(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function readAt(at: string): ItemId {
  try {
    return parseItemId(at, 'FOLDER_NOT_FOUND')
  } catch {
    throw invalidCursor()
  }
}
