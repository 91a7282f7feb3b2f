import { randomBytes } from 'node:crypto'
import { invalid } from './failure.ts'

interface Place {
  /** Everything else that was asked: a token is good for nothing else. */
  readonly asked: string
  readonly ids: readonly string[]
  readonly offset: number
}

/** Parameters that may differ from page to page. */
const FREE = ['pageToken', 'prettyPrint', 'quotaUser']

/** Hands out a listing as it was when its first page was asked for, page by page. */
export class FakeDrivePages {
  /** No page is longer, whatever is asked. */
  limit = Infinity
  /** How long the next pages are at most; 0 is an empty page with a token. Each is used once. */
  readonly short: number[] = []
  readonly #places = new Map<string, Place>()

  /** Every token that was handed out is refused from now on. */
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
