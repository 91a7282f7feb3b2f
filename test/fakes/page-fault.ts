/**
 * How a provider's pages go wrong. `loops`: a page's cursor leads to that page, for ever. `repeats`: so does it, and is
 * another one each time. `skips`: one entry between two pages is on neither. `doubles`: the last entry of a page comes
 * again as the first of the next.
 */
export type PageFault = 'loops' | 'repeats' | 'skips' | 'doubles'

export interface FakePage<T> {
  readonly items: readonly T[]
  /** Where the next page begins; null where this is the last. */
  readonly next: number | null
}

/** The page of `size` that begins at `start`. */
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
      // A page of one would never end.
      return { items, next: items.length > 1 ? end - 1 : end }
  }
}
