import { randomBytes } from 'node:crypto'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphFailure, GraphMistake } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { pageOf } from '../page-fault.ts'

interface PageState {
  /** All other parameters of the request: a link must be followed unchanged. */
  readonly requestKey: string
  readonly all: readonly unknown[]
  readonly start: number
}

export interface GraphPage<T> {
  readonly items: readonly T[]
  /** The number of items on all pages. */
  readonly count: number
  readonly nextLink: string | undefined
}

const TOKEN = '$skiptoken'
const DEFAULT_PAGE_SIZE = 200

/** Pages of a listing, as it was at the request for the first page. */
export class FakeGraphPages {
  readonly #knobs: FakeGraphKnobs
  readonly #states = new Map<string, PageState>()
  readonly #expired = new Set<string>()

  constructor(knobs: FakeGraphKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all links issued so far. */
  expire(): void {
    for (const token of this.#states.keys()) this.#expired.add(token)
    this.#states.clear()
  }

  /** @param user owner of the listing @param list returns all items in order; called for the first page only */
  page<T>(user: string, origin: string, request: FakeCloudRequest, list: () => readonly T[]): GraphPage<T> {
    const { path, query } = request
    const options = [...query].filter(([name]) => name !== TOKEN)
    const requestKey = JSON.stringify([user, path, options.toSorted()])
    const token = query.get(TOKEN)
    const state = token === null ? { requestKey, all: list(), start: 0 } : this.#stateOf(token, requestKey)
    const all = state.all as readonly T[]
    const { pageLimit, shortPages, pageFault } = this.#knobs
    const size = Math.min(Number(query.get('$top') ?? DEFAULT_PAGE_SIZE), pageLimit, shortPages.shift() ?? Infinity)
    const { items, next } = pageOf(all, state.start, size, pageFault)
    const count = all.length
    if (next === null) return { items, count, nextLink: undefined }
    const repeatsLink = pageFault === 'loops' && token !== null
    const nextToken = repeatsLink ? token : randomBytes(30).toString('base64')
    this.#states.set(nextToken, { requestKey, all, start: next })
    const search = [...options, [TOKEN, nextToken] as const].map(
      ([name, value]) => `${name}=${encodeURIComponent(value)}`
    )
    return { items, count, nextLink: `${origin}${path}?${search.join('&')}` }
  }

  #stateOf(token: string, requestKey: string): PageState {
    if (this.#expired.has(token)) throw new GraphFailure({ code: 'resyncRequired' })
    const state = this.#states.get(token)
    if (state === undefined) throw new GraphMistake('a $skiptoken that was never handed out')
    if (state.requestKey !== requestKey) throw new GraphMistake('a next link that was changed')
    return state
  }
}
