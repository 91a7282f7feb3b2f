import { randomBytes } from 'node:crypto'
import { BoxFailure, invalidParameter } from './failure.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakeBoxNode } from './node.ts'
import { pageOf, type FakePage } from '../page-fault.ts'

interface PageState {
  /** All other parameters of the request: a marker is only valid with the same ones. */
  readonly requestKey: string
  readonly all: readonly FakeBoxNode[]
  readonly start: number
}

/** Marker-based listings, as the folder was at the request for the first page. */
export class FakeBoxPages {
  readonly #states = new Map<string, PageState>()
  readonly #knobs: FakeBoxKnobs

  constructor(knobs: FakeBoxKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all markers issued so far. */
  expire(): void {
    this.#states.clear()
  }

  page(
    requestKey: string,
    marker: string | undefined,
    size: number,
    list: () => readonly FakeBoxNode[]
  ): { readonly items: readonly FakeBoxNode[]; readonly nextMarker?: string | null } {
    const { pageFault, lastMarker } = this.#knobs
    const state = marker === undefined ? { requestKey, all: list(), start: 0 } : this.#states.get(marker)
    if (state?.requestKey !== requestKey) {
      throw new BoxFailure({
        code: 'bad_request',
        contextInfo: invalidParameter('marker', `Invalid value '${marker}'. The marker is not valid`)
      })
    }
    const { items, next }: FakePage<FakeBoxNode> = pageOf(state.all, state.start, size, pageFault)
    if (next === null) return { items, ...(lastMarker !== undefined && { nextMarker: lastMarker }) }
    const repeatsMarker = pageFault === 'loops' && marker !== undefined
    const nextMarker = repeatsMarker ? marker : randomBytes(48).toString('base64url')
    this.#states.set(nextMarker, { ...state, start: next })
    return { items, nextMarker }
  }
}
