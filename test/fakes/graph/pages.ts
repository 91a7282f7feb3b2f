import { randomBytes } from 'node:crypto'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphFailure, GraphMistake } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { pageOf } from '../page-fault.ts'

interface Place {
  /** All other parameters of the request: a link must be followed unchanged. */
  readonly asked: string
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
const BY_DEFAULT = 200

/** Pages of a listing, as it was at the request for the first page. */
export class FakeGraphPages {
  readonly #knobs: FakeGraphKnobs
  readonly #places = new Map<string, Place>()
  readonly #expired = new Set<string>()

  constructor(knobs: FakeGraphKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all links issued so far. */
  expire(): void {
    for (const token of this.#places.keys()) this.#expired.add(token)
    this.#places.clear()
  }

  /** @param who owner of the listing @param list returns all items in order; called for the first page only */
  page<T>(who: string, origin: string, request: FakeCloudRequest, list: () => readonly T[]): GraphPage<T> {
    const { path, query } = request
    const options = [...query].filter(([name]) => name !== TOKEN)
    const asked = JSON.stringify([who, path, options.toSorted()])
    const token = query.get(TOKEN)
    const place = token === null ? { asked, all: list(), start: 0 } : this.#place(token, asked)
    const all = place.all as readonly T[]
    const { pageLimit, shortPages, pageFault } = this.#knobs
    const size = Math.min(Number(query.get('$top') ?? BY_DEFAULT), pageLimit, shortPages.shift() ?? Infinity)
    const { items, next } = pageOf(all, place.start, size, pageFault)
    const count = all.length
    if (next === null) return { items, count, nextLink: undefined }
    const isSame = pageFault === 'loops' && token !== null
    const nextToken = isSame ? token : randomBytes(30).toString('base64')
    this.#places.set(nextToken, { asked, all, start: next })
    const search = [...options, [TOKEN, nextToken] as const].map(
      ([name, value]) => `${name}=${encodeURIComponent(value)}`
    )
    return { items, count, nextLink: `${origin}${path}?${search.join('&')}` }
  }

  #place(token: string, asked: string): Place {
    if (this.#expired.has(token)) throw new GraphFailure({ code: 'resyncRequired' })
    const place = this.#places.get(token)
    if (place === undefined) throw new GraphMistake('a $skiptoken that was never handed out')
    if (place.asked !== asked) throw new GraphMistake('a next link that was changed')
    return place
  }
}
