/** A viewport over rows of equal height. Only rows near it are rendered. */
export interface Viewport {
  /** Scroll offset in pixels. */
  readonly top: number
  readonly height: number
  readonly rowHeight: number
}

/** A range of rows. `end` is exclusive. */
export interface RowRange {
  readonly first: number
  readonly end: number
}

/** Rows rendered beyond each edge, so that short scrolls show no gap. */
const OVERSCAN = 6

/** Returns which of `count` rows to render. */
export function rangeOf({ top, height, rowHeight }: Viewport, count: number): RowRange {
  const first = Math.floor(top / rowHeight) - OVERSCAN
  const end = Math.ceil((top + height) / rowHeight) + OVERSCAN
  return { first: Math.max(0, Math.min(first, count)), end: Math.max(0, Math.min(end, count)) }
}

/** Returns whether fewer than one screen of rows remains below the viewport. */
export function isNearEnd({ top, height, rowHeight }: Viewport, count: number): boolean {
  return top + 2 * height >= count * rowHeight
}

/** Returns the scroll offset that shows a row completely. @param covered height of the sticky table head in pixels */
export function topShowing(index: number, { top, height, rowHeight }: Viewport, covered: number): number {
  const start = index * rowHeight
  return Math.max(Math.min(top, start), start + rowHeight - (height - covered))
}
