import { randomBytes } from 'node:crypto'
import { invalid } from './failure.ts'

interface Place {
  /** All other parameters of the request: a token is only valid with the same ones. */
  readonly asked: string
  readonly ids: readonly string[]
  readonly offset: number
}

/** Parameters that may differ from page to page. */
const FREE = ['pageToken', 'prettyPrint', 'quotaUser']

/** Pages of a listing, as it was at the request for the first page. */
export class FakeDrivePages {
  /** The maximum page length, regardless of the request. */
  limit = Infinity
  /** Maximum lengths of the next pages; 0 gives an empty page with a token. Each is used once. */
  readonly short: number[] = []
  readonly #places = new Map<string, Place>()

  /** Invalidates all tokens issued so far. */
  expire(): void {
    this.#places.clear()
  }

  page(
    who: string,
    query: URLSearchParams,
    pageSize: number,
    list: () => readonly string[]
  ): { ids: readonly string[]; nextPageToken?: string } {
    const asked = JSON.stringify([who, [...query].filter(([name]) => !FREE.includes(name)).sort()])
    const token = query.get('pageToken')
    const place = token === null ? { asked, ids: list(), offset: 0 } : this.#places.get(token)
    if (place?.asked !== asked) throw invalid('pageToken', place === undefined ? 'invalid' : 'invalidParameter')
    const { ids, offset } = place
    const end = offset + Math.min(pageSize, this.limit, this.short.shift() ?? Infinity)
    if (end >= ids.length) return { ids: ids.slice(offset) }
    const nextPageToken = `~!!~${randomBytes(48).toString('base64')}`
    this.#places.set(nextPageToken, { asked, ids, offset: end })
    return { ids: ids.slice(offset, end), nextPageToken }
  }
}
