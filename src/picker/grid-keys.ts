/** The cell of the grid that has the keyboard focus. */
export interface Cell {
  readonly row: number
  readonly column: number
}

export interface GridShape {
  readonly rows: number
  readonly columns: number
  /** Rows that fit on the screen. */
  readonly pageRows: number
  readonly isRtl: boolean
}

/** Returns the cell that a key moves to, by the WAI-ARIA grid pattern; `null` if the key does not move the focus. */
export function cellAfter(key: string, isCtrl: boolean, { row, column }: Cell, shape: GridShape): Cell | null {
  const { rows, columns, pageRows, isRtl } = shape
  const forward = isRtl ? -1 : 1
  const to = (nextRow: number, nextColumn: number): Cell => ({
    row: Math.max(0, Math.min(nextRow, rows - 1)),
    column: Math.max(0, Math.min(nextColumn, columns - 1))
  })
  switch (key) {
    case 'ArrowDown':
      return to(row + 1, column)
    case 'ArrowUp':
      return to(row - 1, column)
    case 'ArrowRight':
      return to(row, column + forward)
    case 'ArrowLeft':
      return to(row, column - forward)
    case 'PageDown':
      return to(row + pageRows, column)
    case 'PageUp':
      return to(row - pageRows, column)
    case 'Home':
      return to(isCtrl ? 0 : row, 0)
    case 'End':
      return to(isCtrl ? rows - 1 : row, columns - 1)
    default:
      return null
  }
}
