import { randomBytes } from 'node:crypto'
import { BoxFailure, invalidParameter } from './failure.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakeBoxNode } from './node.ts'
import { pageOf, type FakePage } from '../page-fault.ts'

interface Place {
  /** All other parameters of the request: a marker is only valid with the same ones. */
  readonly asked: string
  readonly all: readonly FakeBoxNode[]
  readonly start: number
}

/** Marker-based listings, as the folder was at the request for the first page. */
export class FakeBoxPages {
  readonly #places = new Map<string, Place>()
  readonly #knobs: FakeBoxKnobs

  constructor(knobs: FakeBoxKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all markers issued so far. */
  expire(): void {
    this.#places.clear()
  }

  page(
    asked: string,
    marker: string | undefined,
    size: number,
    list: () => readonly FakeBoxNode[]
  ): { readonly items: readonly FakeBoxNode[]; readonly nextMarker?: string | null } {
    const { pageFault, lastMarker } = this.#knobs
    const place = marker === undefined ? { asked, all: list(), start: 0 } : this.#places.get(marker)
    if (place?.asked !== asked) {
      throw new BoxFailure({
        code: 'bad_request',
        contextInfo: invalidParameter('marker', `Invalid value '${marker}'. The marker is not valid`)
      })
    }
    const { items, next }: FakePage<FakeBoxNode> = pageOf(place.all, place.start, size, pageFault)
    if (next === null) return { items, ...(lastMarker !== undefined && { nextMarker: lastMarker }) }
    const isSame = pageFault === 'loops' && marker !== undefined
    const nextMarker = isSame ? marker : randomBytes(48).toString('base64url')
    this.#places.set(nextMarker, { ...place, start: next })
    return { items, nextMarker }
  }
}
