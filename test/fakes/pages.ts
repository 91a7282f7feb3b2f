/**
 * Faults of a provider's pages. `loops`: the cursor of a page leads to the same page. `repeats`: the same, with a new
 * cursor each time. `skips`: one entry between two pages is on neither. `doubles`: the last entry of a page is
 * repeated as the first of the next.
 */
export type PageFault = 'loops' | 'repeats' | 'skips' | 'doubles'

interface FakePage<T> {
  readonly items: readonly T[]
  /** The start of the next page; null on the last page. */
  readonly next: number | null
}

/** Returns the page of `size` entries from `start`. */
export function pageOf<T>(all: readonly T[], start: number, size: number, fault?: PageFault): FakePage<T> {
  const items = all.slice(start, start + size)
  const end = start + items.length
  if (end >= all.length) return { items, next: null }
  switch (fault) {
    case undefined:
      return { items, next: end }
    case 'loops':
    case 'repeats':
      return { items, next: start }
    case 'skips':
      return { items, next: end + 1 }
    case 'doubles':
      // With one entry per page, the pages would never end.
      return { items, next: items.length > 1 ? end - 1 : end }
  }
}

interface PageState<T> {
  readonly requestKey: string
  readonly all: readonly T[]
  readonly start: number
}

export interface PageCall<T> {
  /** All other parameters of the request: a cursor is only valid with the same ones. */
  readonly requestKey: string
  /** `undefined` for the first page. */
  readonly cursor: string | undefined
  readonly size: number
  readonly fault?: PageFault | undefined
  /** Returns all items in order. Called for the first page only. */
  readonly list: () => readonly T[]
}

/** Why a cursor is rejected. `changed`: it belongs to a request with other parameters. */
export type CursorProblem = 'unknown' | 'expired' | 'changed'

/** Pages of listings, as the folder was at the request for the first page. */
export class FakePages<T> {
  readonly #newCursor: () => string
  readonly #rejection: (problem: CursorProblem, cursor: string) => Error
  readonly #states = new Map<string, PageState<T>>()
  readonly #expired = new Set<string>()

  constructor(newCursor: () => string, rejection: (problem: CursorProblem, cursor: string) => Error) {
    this.#newCursor = newCursor
    this.#rejection = rejection
  }

  /** Invalidates all cursors issued so far. */
  expire(): void {
    for (const cursor of this.#states.keys()) this.#expired.add(cursor)
    this.#states.clear()
  }

  /** Returns a page, the number of items on all pages, and the cursor of the next page: `undefined` on the last one. */
  page({ requestKey, cursor, size, fault, list }: PageCall<T>) {
    const { all, start } = cursor === undefined ? { all: list(), start: 0 } : this.#stateOf(cursor, requestKey)
    const { items, next } = pageOf(all, start, size, fault)
    if (next === null) return { items, count: all.length, nextCursor: undefined }
    const nextCursor = fault === 'loops' && cursor !== undefined ? cursor : this.#newCursor()
    this.#states.set(nextCursor, { requestKey, all, start: next })
    return { items, count: all.length, nextCursor }
  }

  #stateOf(cursor: string, requestKey: string): PageState<T> {
    const state = this.#states.get(cursor)
    if (state === undefined) throw this.#rejection(this.#expired.has(cursor) ? 'expired' : 'unknown', cursor)
    if (state.requestKey !== requestKey) throw this.#rejection('changed', cursor)
    return state
  }
}
