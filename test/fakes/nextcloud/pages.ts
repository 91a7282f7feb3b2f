import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { DavMistake } from '../dav/failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'

export const PAGING_HEADERS = ['x-nc-paginate', 'x-nc-paginate-count', 'x-nc-paginate-offset', 'x-nc-paginate-token']

const DEFAULT_COUNT = 100

/**
 * Paging as since Nextcloud 31. The first page is of a listing that is then kept: what changes in the folder meanwhile
 * does not change the pages that follow.
 */
export class FakePages {
  readonly #listings = new Map<string, { path: string; items: readonly string[] }>()

  page(request: FakeDavRequest, response: ServerResponse, list: () => string[]): string[] {
    const { headers, path } = request
    const token = headers['x-nc-paginate-token']
    const offset = numberOf(headers['x-nc-paginate-offset'])
    const count = numberOf(headers['x-nc-paginate-count']) ?? DEFAULT_COUNT
    if (headers['x-nc-paginate'] === undefined) {
      const isStray = PAGING_HEADERS.some((name) => headers[name] !== undefined)
      if (isStray) throw new DavMistake(400, 'a page without X-NC-Paginate')
      return list()
    }
    if (headers['x-nc-paginate'] !== 'true') throw new DavMistake(400, 'X-NC-Paginate that is not true')
    if (count === 0) throw new DavMistake(400, 'a page of nothing')
    if (token !== undefined && offset === undefined) throw new DavMistake(400, 'a token without an offset')

    const start = offset ?? 0
    const kept = token === undefined ? undefined : this.#listings.get(token)
    if (kept?.path === path) {
      response.setHeader('X-NC-Paginate', 'true')
      return kept.items.slice(start, start + count)
    }
    const items = list()
    const shown = items.slice(start, start + count)
    if (shown.length < items.length) {
      const created = randomBytes(32).toString('hex')
      this.#listings.set(created, { path, items })
      response.setHeader('X-NC-Paginate', 'true')
      response.setHeader('X-NC-Paginate-Token', created)
      response.setHeader('X-NC-Paginate-Total', items.length)
    }
    return shown
  }

  /** As after an hour, or once the server's cache is full. */
  expireTokens(): void {
    this.#listings.clear()
  }
}

function numberOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (!/^\d+$/.test(header)) throw new DavMistake(400, `the number ${header}`)
  return Number(header)
}
