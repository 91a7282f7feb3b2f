/**
 * Faults of a provider's pages. `loops`: the cursor of a page leads to the same page. `repeats`: the same, with a new
 * cursor each time. `skips`: one entry between two pages is on neither. `doubles`: the last entry of a page is
 * repeated as the first of the next.
 */
export type PageFault = 'loops' | 'repeats' | 'skips' | 'doubles'

export interface FakePage<T> {
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
