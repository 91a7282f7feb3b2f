import { createHash } from 'node:crypto'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { asObject, type JsonObject, textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { readJsonCursor } from '../shared/paging.ts'
import { toEntry } from './entries.ts'
import type { DropboxSession } from './session.ts'

/** One page of Dropbox's listing. */
interface Page {
  readonly entries: readonly Entry[]
  /** Dropbox's cursor of the next page. */
  readonly nextToken: string
  readonly hasMore: boolean
  /** Whether it reports a removal, possibly of an entry that an earlier page returned. */
  readonly hasDeleted: boolean
}

/**
 * Returns one page of a folder. A page of Dropbox may be empty although others follow, and may be longer than
 * requested. A longer page is returned in parts and requested again for each of them. Its order is not stable, so the
 * parts are taken in the order of the ids.
 */
export async function listFolder(session: DropboxSession, id: string | null, call: ListCall): Promise<EntryPage> {
  const { limit, cursor: encodedCursor } = call
  const firstCursor = { token: null, pageSize: limit, returnedCount: 0, hash: '', isStale: false, mark: null }
  const requestedCursor = encodedCursor === undefined ? firstCursor : readCursor(encodedCursor)
  const { cursor, page } = await getMarkedPage(session, id, requestedCursor, call)
  const isSplit = cursor.returnedCount > 0 || page.entries.length > limit
  const entries = isSplit ? [...page.entries].sort(compareById) : page.entries
  const end = cursor.returnedCount + limit
  if (cursor.returnedCount > 0 && hashOf(entries, cursor.returnedCount) !== cursor.hash) throw failure('CURSOR_EXPIRED')
  const isStale = cursor.isStale || page.hasDeleted
  const next = nextCursor(
    cursor,
    page,
    end < entries.length ? { returnedCount: end, hash: hashOf(entries, end) } : null,
    isStale
  )
  const reason: IncompleteReason | null = next !== null ? 'more' : isStale ? 'provider-partial' : null
  return {
    folder: { id, name: null, parentId: null },
    entries: entries.slice(cursor.returnedCount, end),
    next: next === null ? null : writeCursor(next),
    complete: reason === null,
    reason,
    freshness: cursor.mark === null || cursor.mark.length > MAX_MARK || isStale ? null : { mark: cursor.mark }
  }
}

/** Longer marks are not stored (`EntryPage.freshness`). */
const MAX_MARK = 4096

/**
 * Gets a page, and the mark of its folder if the cursor has none: a Dropbox cursor from before the first page was
 * read, since which nothing has changed in the folder. It is the cursor that follows the listing of a folder with one
 * page. With several pages, that cursor leads to the second one. The state before the first page is therefore
 * requested, and then the page again. All pages have the same mark, so that one request confirms all of them.
 */
async function getMarkedPage(
  session: DropboxSession,
  id: string | null,
  cursor: Cursor,
  call: ListCall
): Promise<{ readonly cursor: Cursor; readonly page: Page }> {
  const page = await getPage(session, id, cursor, call)
  if (cursor.token !== null || cursor.mark !== null) return { cursor, page }
  if (!page.hasMore) return { cursor: { ...cursor, mark: page.nextToken }, page }
  const mark = await getLatestCursor(session, id, call)
  return { cursor: { ...cursor, mark }, page: await getPage(session, id, cursor, call) }
}

/** Returns a cursor of the folder's state. Its limit keeps the response short if much has changed since then. */
async function getLatestCursor({ client }: DropboxSession, id: string | null, { signal }: ListCall): Promise<string> {
  const arg = { path: id ?? '', ...LIST_OPTIONS, limit: 1 }
  const options = { signal, missing: 'FOLDER_NOT_FOUND' } as const
  const cursor = textOf((await client.files('list_folder/get_latest_cursor', arg, options))['cursor'])
  if (cursor === null) throw failure('PROVIDER_ERROR', 'Dropbox returned no cursor of a folder')
  return cursor
}

/** @param part the part of the page returned so far; `null` if it is complete */
function nextCursor(
  cursor: Cursor,
  page: Page,
  part: Pick<Cursor, 'returnedCount' | 'hash'> | null,
  isStale: boolean
): Cursor | null {
  if (part !== null) return { ...cursor, ...part, isStale }
  return page.hasMore ? { ...cursor, token: page.nextToken, returnedCount: 0, hash: '', isStale } : null
}

async function getPage({ client }: DropboxSession, id: string | null, cursor: Cursor, call: ListCall): Promise<Page> {
  const { signal, kind } = call
  const options = { signal, missing: 'FOLDER_NOT_FOUND' } as const
  const response =
    cursor.token === null
      ? await client.files('list_folder', { path: id ?? '', ...LIST_OPTIONS, limit: cursor.pageSize }, options)
      : await client.files('list_folder/continue', { cursor: cursor.token }, options)
  const { items, nextToken, hasMore } = requirePage(response)
  const entries = lastByPath(items).map((each) => toEntry(each, id))
  return {
    entries: kind === undefined ? entries : entries.filter((entry) => entry.kind === kind),
    nextToken,
    hasMore,
    hasDeleted: items.some(isDeleted)
  }
}

/** Returns the remaining items of a page. If it names a path several times, the last item counts. */
function lastByPath(items: readonly JsonObject[]): readonly JsonObject[] {
  const last = new Map<unknown, JsonObject>()
  for (const each of items) {
    const path = each['path_lower']
    // Unmounted items have no path.
    const key = typeof path === 'string' ? path : each
    last.delete(key)
    last.set(key, each)
  }
  return [...last.values()].filter((each) => !isDeleted(each))
}

function isDeleted({ '.tag': tag }: JsonObject): boolean {
  return tag === 'deleted'
}

const LIST_OPTIONS = {
  recursive: false,
  include_deleted: false,
  include_mounted_folders: true,
  include_non_downloadable_files: true
} as const

/** @throws StorageError `PROVIDER_ERROR` for a response without a list or without a continuation */
export function requirePage({ entries, cursor: nextToken, has_more: hasMore }: JsonObject): {
  readonly items: readonly JsonObject[]
  readonly nextToken: string
  readonly hasMore: boolean
} {
  if (!Array.isArray(entries) || typeof nextToken !== 'string' || nextToken === '' || typeof hasMore !== 'boolean') {
    throw failure('PROVIDER_ERROR', 'Dropbox returned a page without valid entries, cursor and has_more')
  }
  return { items: (entries as unknown[]).map(asObject), nextToken, hasMore }
}

function compareById(a: Entry, b: Entry): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** Returns 96 bits of a hash of the first ids. */
function hashOf(entries: readonly Entry[], count: number): string {
  const ids = entries.slice(0, count).map(({ id }) => id)
  return createHash('sha256').update(ids.join('\n')).digest().subarray(0, 12).toString('base64url')
}

/** The position at which a listing continues: a Dropbox page, and an offset in it. */
interface Cursor {
  /** Dropbox's cursor of the page; `null` for the first page. */
  readonly token: string | null
  /** The limit of the first request, which Dropbox's cursors retain. */
  readonly pageSize: number
  /** The number of entries of the page that were returned, and a hash of their ids. */
  readonly returnedCount: number
  readonly hash: string
  /** Whether a returned entry may have been deleted since. */
  readonly isStale: boolean
  /** The mark of the folder, from before its first page was read; `null` if the pages have none. */
  readonly mark: string | null
}

const HASH = /^[\w-]{16}$/
/** Longer ones might not fit into the cursor of the route. Cursors of Dropbox have about 150 characters. */
const MAX_CURSOR_WITH_MARK = 2048

function writeCursor({ token, pageSize, returnedCount, hash, isStale, mark }: Cursor): string {
  const place = [token, pageSize, returnedCount, hash, isStale]
  const marked = JSON.stringify([...place, mark])
  return marked.length <= MAX_CURSOR_WITH_MARK ? marked : JSON.stringify([...place, null])
}

/** @throws StorageError `INVALID_CURSOR` */
function readCursor(encodedCursor: string): Cursor {
  return readJsonCursor(encodedCursor, ([token, pageSize, returnedCount, hash, isStale, mark = null]) => {
    const isValid =
      (token === null || (typeof token === 'string' && token !== '')) &&
      isCount(pageSize, 1, 1000) &&
      isCount(returnedCount, token === null ? 1 : 0, 1_000_000) &&
      typeof hash === 'string' &&
      (returnedCount === 0 ? hash === '' : HASH.test(hash)) &&
      typeof isStale === 'boolean' &&
      (mark === null || (typeof mark === 'string' && mark !== ''))
    return isValid ? { token, pageSize, returnedCount, hash, isStale, mark } : null
  })
}

function isCount(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}
