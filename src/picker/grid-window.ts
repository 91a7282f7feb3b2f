/** Rows of one height, of which only those that can be seen are there. */
export interface Viewport {
  /** How far the rows are scrolled, in pixels. */
  readonly top: number
  readonly height: number
  readonly rowHeight: number
}

/** From `first` to before `end`. */
export interface RowRange {
  readonly first: number
  readonly end: number
}

/** Rows beyond each edge, so that a short scroll shows no gap. */
const OVERSCAN = 6

/** Which of `count` rows are drawn. */
export function rangeOf({ top, height, rowHeight }: Viewport, count: number): RowRange {
  const first = Math.floor(top / rowHeight) - OVERSCAN
  const end = Math.ceil((top + height) / rowHeight) + OVERSCAN
  return { first: Math.max(0, Math.min(first, count)), end: Math.max(0, Math.min(end, count)) }
}

/** Whether the rows that are there end within a screen of what is seen. */
export function isNearEnd({ top, height, rowHeight }: Viewport, count: number): boolean {
  return top + 2 * height >= count * rowHeight
}

/** How far to scroll so that a row is seen whole. @param covered what the head of the table covers, in pixels */
export function topShowing(index: number, { top, height, rowHeight }: Viewport, covered: number): number {
  const start = index * rowHeight
  return Math.max(Math.min(top, start), start + rowHeight - (height - covered))
}
