import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Entry, EntryPage, FolderInfo, IncompleteReason } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { invalidCursor } from './json-cursor.ts'

/** A folder's whole content, from one answer of a provider that has no pages. */
export interface WholeFolder {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** Why this is not all; `null` where it is. */
  readonly reason: IncompleteReason | null
}

interface Kept extends WholeFolder {
  readonly hash: string
  readonly weight: number
}

/** In about bytes: of all listings that are being paged through, together, and of one of them. */
const MAX_KEPT_WEIGHT = 96 * 1024 * 1024
const MAX_FOLDER_WEIGHT = 64 * 1024 * 1024
/** What an entry takes besides its texts. */
const ENTRY_WEIGHT = 500
/** So many entries are worked on before others have their turn. */
const BATCH = 1000
/** How long somebody may take from one page to the next. */
const KEEP_MS = 600_000
/** At most so many entries of one folder are held. */
export const MAX_FOLDER_ENTRIES = 50_000

const CURSOR = /^([\w-]{22})\.(\d{1,9})$/

/**
 * Cuts whole listings into pages. What does not fit the first one is kept for the next; a cursor names a place in
 * exactly one answer, by its hash. Where that answer is gone, since the folder was listed anew and has changed, or
 * another process holds it, the cursor is spent: pages of two answers would show an entry twice, or never.
 */
export class CutPages {
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: MAX_KEPT_WEIGHT,
    sizeCalculation: ({ weight }) => weight,
    ttl: KEEP_MS
  })

  /**
   * @param place names the folder and whose it is
   * @param load lists all of the folder
   * @throws StorageError `CURSOR_EXPIRED`, `INVALID_CURSOR`, and what `load` throws
   */
  async page(place: string, call: ListCall, load: () => Promise<WholeFolder>): Promise<EntryPage> {
    const { cursor, limit, kind } = call
    if (cursor !== undefined) {
      const { hash, offset } = readCursor(cursor)
      const kept = this.#kept.get(place)
      if (kept?.hash !== hash) throw new StorageError('CURSOR_EXPIRED', 'The listing cannot be continued: start again.')
      return cut(kept, offset, limit, kind, hash)
    }
    const whole = await load()
    const first = cut(whole, 0, limit, kind, '')
    if (first.next === null) {
      this.#kept.delete(place)
      return first
    }
    const kept = await weigh(whole)
    this.#kept.set(place, kept)
    return cut(kept, 0, limit, kind, kept.hash)
  }
}

/** Makes what is kept: hashed, and cut off where its names are so long that it cannot be held. */
async function weigh(whole: WholeFolder): Promise<Kept> {
  const hash = createHash('sha256')
  let weight = ENTRY_WEIGHT
  for (const [index, entry] of whole.entries.entries()) {
    const text = JSON.stringify(entry)
    if (weight + ENTRY_WEIGHT + text.length > MAX_FOLDER_WEIGHT) {
      whole = { ...whole, entries: whole.entries.slice(0, index), reason: 'page-cap' }
      break
    }
    weight += ENTRY_WEIGHT + text.length
    hash.update(text)
    if (index % BATCH === BATCH - 1) await setImmediate()
  }
  return { ...whole, weight, hash: hash.digest('base64url').slice(0, 22) }
}

function cut(
  { folder, entries, reason }: WholeFolder,
  offset: number,
  limit: number,
  kind: ListCall['kind'],
  hash: string
): EntryPage {
  const wanted = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
  const end = offset + limit
  const isLast = end >= wanted.length
  return {
    folder,
    entries: wanted.slice(offset, end),
    next: isLast ? null : `${hash}.${end}`,
    complete: isLast && reason === null,
    reason: isLast ? reason : 'more'
  }
}

function readCursor(cursor: string): { hash: string; offset: number } {
  const [, hash, offset] = CURSOR.exec(cursor) ?? []
  if (hash === undefined) throw invalidCursor()
  return { hash, offset: Number(offset) }
}
