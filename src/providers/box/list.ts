import type { ListCall } from '../../core/backend.ts'
import type { EntryPage, IncompleteReason } from '../../core/entry.ts'
import { failure } from '../shared/errors.ts'
import { readJsonCursor, requireLimit } from '../shared/paging.ts'
import { apiUrl, asObject } from '../shared/rest-client.ts'
import {
  boxEntry,
  type BoxId,
  type BoxItem,
  formatId,
  isActive,
  LISTED_FIELDS,
  parseFolderId,
  pathOf
} from './entries.ts'
import type { BoxServer } from './session.ts'

/**
 * Returns one page of a folder. Uses markers, because offsets end at some 10,000 items. After several pages it
 * compares the number of items with Box's count, since nothing else would reveal a skipped item.
 */
export async function listFolder(server: BoxServer, folderId: string | null, call: ListCall): Promise<EntryPage> {
  requireLimit(call.limit)
  const folder = parseFolderId(folderId)
  const place = call.cursor === undefined ? null : readCursor(call.cursor)
  const { items, marker } = await readPage(server, folder, place?.marker, call)
  const seen = (place?.seen ?? 0) + items.length
  const entries = items.filter(isActive).map((item) => boxEntry(item, folder))
  const isPartial = marker === null && place !== null && seen < (await countItems(server, folder, call))
  const reason: IncompleteReason | null = marker !== null ? 'more' : isPartial ? 'provider-partial' : null
  return {
    folder: { id: formatId(folder), name: null, parentId: null },
    // Box cannot filter by kind.
    entries: call.kind === undefined ? entries : entries.filter(({ kind }) => kind === call.kind),
    next: marker === null ? null : writeCursor({ marker, seen }),
    complete: reason === null,
    reason
  }
}

async function readPage(
  server: BoxServer,
  folder: BoxId,
  marker: string | undefined,
  { signal, limit }: ListCall
): Promise<{ readonly items: readonly BoxItem[]; readonly marker: string | null }> {
  const url = apiUrl(server.api, `${pathOf(folder)}/items`, {
    usemarker: 'true',
    limit: String(limit),
    fields: LISTED_FIELDS,
    ...(marker !== undefined && { marker })
  })
  const { entries, next_marker: next } = await server.client.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  if (!Array.isArray(entries) || entries.length > limit) {
    throw failure('PROVIDER_ERROR', 'Box returned no list of items, or more items than requested')
  }
  const isEnd = next === undefined || next === null || next === ''
  if (!isEnd && typeof next !== 'string') throw failure('PROVIDER_ERROR', 'Box returned an invalid page marker')
  return { items: entries.map(asObject), marker: isEnd ? null : next }
}

/** Returns the number of items, or slightly more: Box promises no better, and only offset paging reports it. */
async function countItems(server: BoxServer, folder: BoxId, { signal }: ListCall): Promise<number> {
  const url = apiUrl(server.api, `${pathOf(folder)}/items`, { limit: '1', offset: '0', fields: 'id' })
  const { total_count: total } = await server.client.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  if (typeof total === 'number' && Number.isSafeInteger(total) && total >= 0) return total
  throw failure('PROVIDER_ERROR', 'Box returned no item count for the folder')
}

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
