import { BOX_ROOT, type FakeBoxNode } from './node.ts'
import type { FakeBoxTree } from './tree.ts'

type Compare = (a: FakeBoxNode, b: FakeBoxNode) => number

const NAMES = new Intl.Collator('en', { sensitivity: 'base', numeric: true })
const RANKS = { folder: 0, file: 1, web_link: 2 }

const byId: Compare = (a, b) => Number(a.id) - Number(b.id)
const byType: Compare = (a, b) => RANKS[a.type] - RANKS[b.type]

/** The supported sort orders; the type always takes precedence. */
const SORTS: Readonly<Record<string, Compare>> = {
  name: (a, b) => NAMES.compare(a.name, b.name),
  date: (a, b) => a.modified.getTime() - b.modified.getTime(),
  size: (a, b) => (a.content?.length ?? 0) - (b.content?.length ?? 0),
  id: byId
}

export const isSort = (sort: string) => Object.hasOwn(SORTS, sort)

export interface BoxOrder {
  readonly sort: string
  readonly direction: 'ASC' | 'DESC'
  readonly hasMarker: boolean
}

/** The sorted children of folders, cached until the tree changes. */
export class FakeBoxSorted {
  readonly #tree: FakeBoxTree
  readonly #sorted = new Map<string, readonly FakeBoxNode[]>()
  #revision = -1

  constructor(tree: FakeBoxTree) {
    this.#tree = tree
  }

  children(folder: FakeBoxNode, order: BoxOrder): readonly FakeBoxNode[] {
    if (this.#revision !== this.#tree.revision) this.#sorted.clear()
    this.#revision = this.#tree.revision
    const key = JSON.stringify([folder.id, order])
    const sorted = this.#sorted.get(key) ?? this.#tree.children(folder).sort(compareFor(folder, order))
    this.#sorted.set(key, sorted)
    return sorted
  }
}

function compareFor({ id }: FakeBoxNode, { sort, direction, hasMarker }: BoxOrder): Compare {
  // With markers, the root ignores the type and all requested orders.
  if (id === BOX_ROOT && hasMarker) return (a, b) => byId(a, b) || byType(a, b)
  const compare = SORTS[sort] ?? byId
  const sign = direction === 'DESC' ? -1 : 1
  return (a, b) => byType(a, b) || sign * compare(a, b) || byId(a, b)
}
