import { randomBytes } from 'node:crypto'
import { invalid } from './failure.ts'

interface PageState {
  /** All other parameters of the request: a token is only valid with the same ones. */
  readonly requestKey: string
  readonly ids: readonly string[]
  readonly offset: number
}

/** Parameters that may differ from page to page. */
const VARIABLE_PARAMETERS = ['pageToken', 'prettyPrint', 'quotaUser']

/** Pages of a listing, as it was at the request for the first page. */
export class FakeDrivePages {
  /** The maximum page length, regardless of the request. */
  limit = Infinity
  /** Maximum lengths of the next pages; 0 gives an empty page with a token. Each is used once. */
  readonly shortPages: number[] = []
  readonly #states = new Map<string, PageState>()

  /** Invalidates all tokens issued so far. */
  expire(): void {
    this.#states.clear()
  }

  page(
    user: string,
    query: URLSearchParams,
    pageSize: number,
    list: () => readonly string[]
  ): { ids: readonly string[]; nextPageToken?: string } {
    const requestKey = JSON.stringify([user, [...query].filter(([name]) => !VARIABLE_PARAMETERS.includes(name)).sort()])
    const token = query.get('pageToken')
    const state = token === null ? { requestKey, ids: list(), offset: 0 } : this.#states.get(token)
    if (state?.requestKey !== requestKey)
      throw invalid('pageToken', state === undefined ? 'invalid' : 'invalidParameter')
    const { ids, offset } = state
    const end = offset + Math.min(pageSize, this.limit, this.shortPages.shift() ?? Infinity)
    if (end >= ids.length) return { ids: ids.slice(offset) }
    const nextPageToken = `~!!~${randomBytes(48).toString('base64')}`
    this.#states.set(nextPageToken, { requestKey, ids, offset: end })
    return { ids: ids.slice(offset, end), nextPageToken }
  }
}
