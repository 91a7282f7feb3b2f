import type { Call, ListCall } from '../../core/backend.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { asObject, type JsonObject, sizeOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor, readJsonCursor } from '../shared/paging.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { formatId, type ItemId, OWN_ROOT, parseItemId, ROOT } from './entries.ts'
import type { GraphSession } from './session.ts'

/** The collections that make up a folder's listing, in this order. */
type Section = 'sites' | 'drives' | 'items'

/** A page of one section. */
export interface SectionPage {
  readonly entries: readonly Entry[]
  /** The position at which the section continues; `null` at its end. */
  readonly next: Cursor | null
  /** Whether more items were reported than returned. */
  readonly isPartial: boolean
  /** The id of the folder for clients. */
  readonly publicId: string
  readonly freshness: PageFreshness | null
}

export type ListSection = (cursor: Cursor) => Promise<SectionPage>

/** The sections of a folder, in order. */
export type Sections = ReadonlyMap<Section, ListSection>

/**
 * Returns a page of a folder that consists of several collections. If one ends and at least half of the page is free,
 * the next one starts on the same page. Within a section, Graph's pages have the size of the first one.
 */
export async function listSections(sections: Sections, cursor: Cursor | null, call: ListCall): Promise<EntryPage> {
  const { limit, kind } = call
  const names = [...sections.keys()]
  const firstCursor = (section: Section | undefined, remaining: number, isPartial: boolean): Cursor | null => {
    const top = Math.min(remaining, MAX_TOP)
    return section === undefined ? null : { section, query: null, top, seen: 0, listedId: null, isPartial }
  }
  const entries: Entry[] = []
  let freshness: PageFreshness | null | undefined
  for (let current = cursor ?? firstCursor(names[0], limit, false); current !== null;) {
    const list = sections.get(current.section)
    if (list === undefined) break
    const section = await list(current)
    const { entries: sectionEntries, next, publicId } = section
    const isPartial = current.isPartial || section.isPartial
    // One section without a feed leaves the whole page without one.
    freshness = freshness === null ? null : section.freshness
    entries.push(...sectionEntries.filter((entry) => kind === undefined || entry.kind === kind))
    const remaining = limit - entries.length
    const nextCursor = next ?? firstCursor(names[names.indexOf(current.section) + 1], limit, isPartial)
    if (next === null && nextCursor !== null && remaining >= limit / 2) {
      current = firstCursor(nextCursor.section, remaining, isPartial)
      continue
    }
    // The next request may contain another id of the root.
    const listedRoot = publicId === ROOT ? OWN_ROOT : null
    const reason: IncompleteReason | null = nextCursor !== null ? 'more' : isPartial ? 'provider-partial' : null
    return {
      folder: { id: publicId, name: null, parentId: null },
      entries,
      next: nextCursor === null ? null : writeCursor({ ...nextCursor, listedId: nextCursor.listedId ?? listedRoot }),
      complete: reason === null,
      reason,
      freshness
    }
  }
  throw invalidCursor()
}

/** The largest page that Graph returns for any collection. */
const MAX_TOP = 999

/** One page of a collection. */
export interface Page {
  readonly resources: readonly JsonObject[]
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
export async function getPage(
  session: GraphSession,
  path: string,
  parameters: Readonly<Record<string, string>>,
  { query, top }: Pick<Cursor, 'query' | 'top'>,
  { signal }: Call
): Promise<Page> {
  const firstUrl = apiUrl(session.origin, path, { ...parameters, $top: String(top) })
  const url = new URL(firstUrl)
  for (const [name, value] of new URLSearchParams(query ?? '')) url.searchParams.set(name, value)
  const response = await session.client.json({ url, signal, missing: 'FOLDER_NOT_FOUND' })
  const { value, '@odata.nextLink': link, '@odata.count': count } = response
  if (!Array.isArray(value) || value.length > top) {
    throw failure('PROVIDER_ERROR', 'Graph returned no list, or more items than requested')
  }
  return {
    resources: value.map(asObject),
    next: link === undefined || link === null ? null : nextQuery(link, firstUrl),
    count: sizeOf(count)
  }
}

/**
 * Returns the query parameters that a next link adds. The link is not followed: the token must not leave the API, and
 * Graph writes paths in several ways (`drives('ID')`), even wrong ones (microsoft-graph-docs issue 3341).
 *
 * @throws StorageError `PROVIDER_ERROR` for a link to another collection, or to the first page
 */
function nextQuery(link: unknown, firstUrl: URL): string {
  const url = parseProviderUrl(link, [firstUrl.origin], 'The URL of the next page')
  const requestedParameters = firstUrl.searchParams
  const addedParameters = [...url.searchParams].filter(([name, value]) => requestedParameters.get(name) !== value)
  if (collectionOf(url) !== collectionOf(firstUrl) || addedParameters.length === 0) {
    throw failure('PROVIDER_ERROR', 'Graph returned a next page of another collection, or the first page again')
  }
  return new URLSearchParams(addedParameters).toString()
}

function collectionOf({ pathname }: URL): string {
  return pathname.slice(pathname.lastIndexOf('/') + 1)
}

/** The position at which a listing continues: Graph's page, and the parameters that must not change with it. */
export interface Cursor {
  readonly section: Section
  /** The additional query parameters for Graph; `null` for the beginning of the section. */
  readonly query: string | null
  /** Graph's page size. */
  readonly top: number
  /** The number of items of the section returned so far, including hidden ones. */
  readonly seen: number
  /** The listed item, if the folder is a shortcut to it or is the user's own root by any of its ids. */
  readonly listedId: ItemId | null
  /** Whether an earlier section reported more items than it returned. */
  readonly isPartial: boolean
}

const SECTIONS: ReadonlySet<unknown> = new Set<Section>(['sites', 'drives', 'items'])
const MAX_QUERY_LENGTH = 3000

function writeCursor({ section, query, top, seen, listedId, isPartial }: Cursor): string {
  return JSON.stringify([section, query, top, seen, listedId === null ? null : formatId(listedId), isPartial])
}

/** @throws StorageError `INVALID_CURSOR` */
export function readCursor(encodedCursor: string, limit: number): Cursor {
  return readJsonCursor(encodedCursor, ([section, query, top, seen, listedId, isPartial]) => {
    const isValid =
      isSection(section) &&
      (query === null || (typeof query === 'string' && query !== '' && query.length <= MAX_QUERY_LENGTH)) &&
      isCount(top) &&
      top >= 1 &&
      top <= limit &&
      isCount(seen) &&
      (listedId === null || typeof listedId === 'string') &&
      typeof isPartial === 'boolean'
    return isValid
      ? { section, query, top, seen, listedId: listedId === null ? null : readListedId(listedId), isPartial }
      : null
  })
}

function isSection(value: unknown): value is Section {
  return SECTIONS.has(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function readListedId(listedId: string): ItemId {
  try {
    return parseItemId(listedId, 'FOLDER_NOT_FOUND')
  } catch {
    throw invalidCursor()
  }
}
