import { createHash } from 'node:crypto'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { failure } from '../shared/errors.ts'
import { readJsonCursor, requireLimit } from '../shared/paging.ts'
import { asObject } from '../shared/rest-client.ts'
import { type Facts, parseId, toEntry } from './entries.ts'
import type { DropboxServer } from './session.ts'

/** One page of Dropbox's listing. */
interface Upstream {
  readonly entries: readonly Entry[]
  /** Dropbox's cursor of the next page. */
  readonly cursor: string
  readonly hasMore: boolean
  /** Whether it reports a removal, possibly of an entry that an earlier page returned. */
  readonly hasDeleted: boolean
}

/**
 * Returns one page of a folder from one call. A page of Dropbox may be empty although others follow, and may be
 * longer than requested. A longer page is returned in parts and requested again for each of them. Its order is not
 * stable, so the parts are taken in the order of the ids.
 */
export async function listFolder(server: DropboxServer, folderId: string | null, call: ListCall): Promise<EntryPage> {
  const { limit, cursor } = call
  requireLimit(limit)
  const id = folderId === null ? null : parseId(folderId, 'FOLDER_NOT_FOUND')
  const first = { token: null, pageSize: limit, shown: 0, hash: '', isStale: false }
  const place = cursor === undefined ? first : readCursor(cursor)
  const page = await ask(server, id, place, call)
  const isCut = place.shown > 0 || page.entries.length > limit
  const entries = isCut ? [...page.entries].sort(byId) : page.entries
  const end = place.shown + limit
  if (place.shown > 0 && hashOf(entries, place.shown) !== place.hash) throw failure('CURSOR_EXPIRED')
  const isStale = place.isStale || page.hasDeleted
  const next = nextOf(place, page, end < entries.length ? { shown: end, hash: hashOf(entries, end) } : null, isStale)
  const reason: IncompleteReason | null = next !== null ? 'more' : isStale ? 'provider-partial' : null
  return {
    folder: { id, name: null, parentId: null },
    entries: entries.slice(place.shown, end),
    next: next === null ? null : writeCursor(next),
    complete: reason === null,
    reason
  }
}

/** @param part the part of the page returned so far; `null` if it is complete */
function nextOf(
  place: Place,
  page: Upstream,
  part: Pick<Place, 'shown' | 'hash'> | null,
  isStale: boolean
): Place | null {
  if (part !== null) return { ...place, ...part, isStale }
  return page.hasMore ? { ...place, token: page.cursor, shown: 0, hash: '', isStale } : null
}

async function ask({ client }: DropboxServer, id: string | null, place: Place, call: ListCall): Promise<Upstream> {
  const { signal, kind } = call
  const options = { signal, missing: 'FOLDER_NOT_FOUND' } as const
  const answer =
    place.token === null
      ? await client.files('list_folder', { path: id ?? '', ...SHOWN, limit: place.pageSize }, options)
      : await client.files('list_folder/continue', { cursor: place.token }, options)
  const { facts, cursor, hasMore } = requirePage(answer)
  const entries = lastOf(facts).map((each) => toEntry(each, id))
  return {
    entries: kind === undefined ? entries : entries.filter((entry) => entry.kind === kind),
    cursor,
    hasMore,
    hasDeleted: facts.some(isDeleted)
  }
}

/** Returns the remaining items of a page. If it names a path several times, the last item counts. */
function lastOf(facts: readonly Facts[]): readonly Facts[] {
  const last = new Map<unknown, Facts>()
  for (const each of facts) {
    const path = each['path_lower']
    // Unmounted items have no path.
    const key = typeof path === 'string' ? path : each
    last.delete(key)
    last.set(key, each)
  }
  return [...last.values()].filter((each) => !isDeleted(each))
}

function isDeleted({ '.tag': tag }: Facts): boolean {
  return tag === 'deleted'
}

const SHOWN = {
  recursive: false,
  include_deleted: false,
  include_mounted_folders: true,
  include_non_downloadable_files: true
} as const

/** @throws StorageError `PROVIDER_ERROR` for a response without a list or without a continuation */
function requirePage({ entries, cursor, has_more: hasMore }: Facts): {
  readonly facts: readonly Facts[]
  readonly cursor: string
  readonly hasMore: boolean
} {
  if (!Array.isArray(entries) || typeof cursor !== 'string' || cursor === '' || typeof hasMore !== 'boolean') {
    throw failure('PROVIDER_ERROR', 'Dropbox returned a page without valid entries, cursor and has_more')
  }
  return { facts: (entries as unknown[]).map(asObject), cursor, hasMore }
}

function byId(a: Entry, b: Entry): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** Returns 96 bits of a hash of the first ids. */
function hashOf(entries: readonly Entry[], count: number): string {
  const ids = entries.slice(0, count).map(({ id }) => id)
  return createHash('sha256').update(ids.join('\n')).digest().subarray(0, 12).toString('base64url')
}

/** The position at which a listing continues: a Dropbox page, and an offset in it. */
export interface Place {
  /** Dropbox's cursor of the page; `null` for the first page. */
  readonly token: string | null
  /** The limit of the first request, which Dropbox's cursors retain. */
  readonly pageSize: number
  /** The number of entries of the page that were returned, and a hash of their ids. */
  readonly shown: number
  readonly hash: string
  /** Whether a returned entry may have been deleted since. */
  readonly isStale: boolean
}

const HASH = /^[\w-]{16}$/

export function writeCursor({ token, pageSize, shown, hash, isStale }: Place): string {
  return JSON.stringify([token, pageSize, shown, hash, isStale])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): Place {
  return readJsonCursor(cursor, ([token, pageSize, shown, hash, isStale]) => {
    const isPlace =
      (token === null || (typeof token === 'string' && token !== '')) &&
      isCount(pageSize, 1, 1000) &&
      isCount(shown, token === null ? 1 : 0, 1_000_000) &&
      typeof hash === 'string' &&
      (shown === 0 ? hash === '' : HASH.test(hash)) &&
      typeof isStale === 'boolean'
    return isPlace ? { token, pageSize, shown, hash, isStale } : null
  })
}

function isCount(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}
