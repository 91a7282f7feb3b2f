import type { Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure } from '../shared/http-failure.ts'
import { pinnedUrl } from '../shared/pinned-url.ts'
import { asObject, sizeOf } from '../shared/read-json.ts'
import type { Place } from './cursor.ts'
import type { Resource } from './entries.ts'
import type { GraphServer } from './server.ts'

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
