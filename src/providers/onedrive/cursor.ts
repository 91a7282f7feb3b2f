import { invalidCursor, readJsonCursor } from '../shared/json-cursor.ts'
import { formatId, type ItemId, parseItemId } from './ids.ts'

/** The collections that make up a folder's listing, in this order. */
export type Section = 'sites' | 'drives' | 'items'

/** The position at which a listing continues: Graph's page, and the parameters that must not change with it. */
export interface Place {
  readonly section: Section
  /** The additional query parameters for Graph; `null` for the beginning of the section. */
  readonly query: string | null
  /** Graph's page size. */
  readonly top: number
  /** The number of items of the section returned so far, including hidden ones. */
  readonly seen: number
  /** The listed item, if the folder is a shortcut to it or is the user's own root by any of its ids. */
  readonly at: ItemId | null
  /** Whether an earlier section reported more items than it returned. */
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
