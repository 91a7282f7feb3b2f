import type { ListCall } from '../../core/backend.ts'
import { ROOT_SCOPE } from '../../core/change-feed.ts'
import type { EntryPage, IncompleteReason } from '../../core/entry.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { readJsonCursor } from '../shared/paging.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { boxEntry, formatId, isActive, type ItemId, LIST_FIELDS, pathOf } from './entries.ts'
import type { BoxSession } from './session.ts'

/**
 * Returns one page of a folder. Uses markers, because offsets end at some 10,000 items. After several pages it
 * compares the number of items with Box's count, since nothing else would reveal a skipped item.
 */
export async function listFolder(session: BoxSession, folder: ItemId, call: ListCall): Promise<EntryPage> {
  const cursor = call.cursor === undefined ? null : readCursor(call.cursor)
  const { items, marker } = await getPage(session, folder, cursor?.marker, call)
  const seen = (cursor?.seen ?? 0) + items.length
  const entries = items.filter(isActive).map((item) => boxEntry(item, folder))
  const isPartial = marker === null && cursor !== null && seen < (await countItems(session, folder, call))
  const reason: IncompleteReason | null = marker !== null ? 'more' : isPartial ? 'provider-partial' : null
  return {
    folder: { id: formatId(folder), name: null, parentId: null },
    // Box cannot filter by kind.
    entries: call.kind === undefined ? entries : entries.filter(({ kind }) => kind === call.kind),
    next: marker === null ? null : writeCursor({ marker, seen }),
    complete: reason === null,
    reason,
    freshness: isPartial ? null : { scope: ROOT_SCOPE }
  }
}

async function getPage(
  session: BoxSession,
  folder: ItemId,
  marker: string | undefined,
  { signal, limit }: ListCall
): Promise<{ readonly items: readonly JsonObject[]; readonly marker: string | null }> {
  const url = apiUrl(session.origin, `${pathOf(folder)}/items`, {
    usemarker: 'true',
    limit: String(limit),
    fields: LIST_FIELDS,
    ...(marker !== undefined && { marker })
  })
  const { entries, next_marker: next } = await session.client.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  if (!Array.isArray(entries) || entries.length > limit) {
    throw failure('PROVIDER_ERROR', 'Box returned no list of items, or more items than requested')
  }
  const isEnd = next === undefined || next === null || next === ''
  if (!isEnd && typeof next !== 'string') throw failure('PROVIDER_ERROR', 'Box returned an invalid page marker')
  return { items: entries.map(asObject), marker: isEnd ? null : next }
}

/** Returns the number of items, or slightly more: Box promises no better, and only offset paging reports it. */
async function countItems(session: BoxSession, folder: ItemId, { signal }: ListCall): Promise<number> {
  const url = apiUrl(session.origin, `${pathOf(folder)}/items`, { limit: '1', offset: '0', fields: 'id' })
  const { total_count: total } = await session.client.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  if (typeof total === 'number' && Number.isSafeInteger(total) && total >= 0) return total
  throw failure('PROVIDER_ERROR', 'Box returned no item count for the folder')
}

/** The position at which a listing continues. */
interface Cursor {
  /** The marker that Box returned. */
  readonly marker: string
  /** The number of items that Box has returned so far. */
  readonly seen: number
}

function writeCursor({ marker, seen }: Cursor): string {
  return JSON.stringify([marker, seen])
}

/** @throws StorageError `INVALID_CURSOR` */
function readCursor(encodedCursor: string): Cursor {
  return readJsonCursor(encodedCursor, ([marker, seen]) => {
    const isValid =
      typeof marker === 'string' && marker !== '' && typeof seen === 'number' && Number.isSafeInteger(seen) && seen >= 0
    return isValid ? { marker, seen } : null
  })
}
