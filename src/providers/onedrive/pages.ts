import type { Call } from '../../core/backend.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor, readJsonCursor } from '../shared/paging.ts'
import { apiUrl, asObject, sizeOf } from '../shared/rest-client.ts'
import { formatId, type ItemId, parseItemId, type Resource } from './entries.ts'
import type { GraphServer } from './session.ts'

/** The largest page that Graph returns for any collection. */
export const MAX_TOP = 999

/** One page of a collection. */
export interface Page {
  readonly resources: readonly Resource[]
  /** The additional query parameters of the next page; `null` after the last page. */
  readonly next: string | null
  /** The number of resources on all pages, if Graph reports it. */
  readonly count: number | null
}

/**
 * Requests a page of a collection, in the service's order: SharePoint refuses to sort large collections.
 *
 * @param path of the collection
 */
export async function askPage(
  server: GraphServer,
  path: string,
  parameters: Readonly<Record<string, string>>,
  { query, top }: Pick<Place, 'query' | 'top'>,
  { signal }: Call
): Promise<Page> {
  const first = apiUrl(server.origin, path, { ...parameters, $top: String(top) })
  const url = new URL(first)
  for (const [name, value] of new URLSearchParams(query ?? '')) url.searchParams.set(name, value)
  const answer = await server.rest.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  const { value, '@odata.nextLink': link, '@odata.count': count } = answer
  if (!Array.isArray(value) || value.length > top) {
    throw failure('PROVIDER_ERROR', 'Graph returned no list, or more items than requested')
  }
  return {
    resources: value.map(asObject),
    next: link === undefined || link === null ? null : nextQuery(link, first),
    count: sizeOf(count)
  }
}

/**
 * Returns the query parameters that a next link adds. The link is not followed: the token must not leave the API, and
 * Graph writes paths in several ways (`drives('ID')`), even wrong ones (microsoft-graph-docs issue 3341).
 *
 * @throws StorageError `PROVIDER_ERROR` for a link to another collection, or to the first page
 */
function nextQuery(link: unknown, first: URL): string {
  const url = pinnedUrl(link, [first.origin], 'The URL of the next page')
  const asked = first.searchParams
  const besides = [...url.searchParams].filter(([name, value]) => asked.get(name) !== value)
  if (collectionOf(url) !== collectionOf(first) || besides.length === 0) {
    throw failure('PROVIDER_ERROR', 'Graph returned a next page of another collection, or the first page again')
  }
  return new URLSearchParams(besides).toString()
}

function collectionOf({ pathname }: URL): string {
  return pathname.slice(pathname.lastIndexOf('/') + 1)
}

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
