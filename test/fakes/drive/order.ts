import { invalid } from './failure.ts'
import { DRIVE_FOLDER, type FakeDriveNode } from './node.ts'

type Compare = (a: FakeDriveNode, b: FakeDriveNode) => number

const ALPHABETICAL = new Intl.Collator('en', { sensitivity: 'base' })
const NATURAL = new Intl.Collator('en', { sensitivity: 'base', numeric: true })

const rank = ({ mimeType }: FakeDriveNode) => (mimeType === DRIVE_FOLDER ? 0 : 1)

const SORT_KEYS: Readonly<Record<string, Compare>> = {
  folder: (a, b) => rank(a) - rank(b),
  name: (a, b) => ALPHABETICAL.compare(a.name, b.name),
  name_natural: (a, b) => NATURAL.compare(a.name, b.name),
  modifiedTime: (a, b) => a.modified.getTime() - b.modified.getTime()
}

/** Sorts by a parameter `orderBy`. Without one, the newest is first, to prevent reliance on an order by name. */
export function sortNodes(nodes: readonly FakeDriveNode[], orderBy: string | null): FakeDriveNode[] {
  if (orderBy === null) return nodes.toReversed()
  const comparers = orderBy.split(',').map((part) => {
    const [, name = '', desc] = /^([a-z_]+)( desc)?$/i.exec(part) ?? []
    const compare = Object.hasOwn(SORT_KEYS, name) ? SORT_KEYS[name] : undefined
    if (compare === undefined) throw invalid('orderBy')
    return desc === undefined ? compare : (a: FakeDriveNode, b: FakeDriveNode) => compare(b, a)
  })
  return nodes.toSorted((a, b) => {
    for (const compare of comparers) {
      const result = compare(a, b)
      if (result !== 0) return result
    }
    return 0
  })
}
