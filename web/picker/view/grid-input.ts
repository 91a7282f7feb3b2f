import type { Entry } from '../../../src/core/entry.ts'
import type { PickerCore } from '../state/picker.ts'
import { isSelectable } from '../state/selection.ts'
import type { ViewContext } from './context.ts'

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

/**
 * Handles a key press in the table.
 * @param entry the entry of the focused row
 * @param move moves to another cell; with `extending`, extends the selection to it
 * @returns whether the key was handled
 */
export function handleKey(
  event: KeyboardEvent,
  entry: Entry,
  { core, actions }: ViewContext,
  move: (key: string, isCtrl: boolean, selectionOwner: PickerCore | null) => boolean
): boolean {
  const { key, shiftKey, altKey } = event
  const { selection, browser, selectable } = core
  const isCtrl = event.ctrlKey || event.metaKey
  const isButton = event.target instanceof HTMLButtonElement
  if (key === 'Backspace' || (altKey && key === 'ArrowUp')) {
    if (browser.breadcrumbs.length > 1) actions.openAncestor(browser.breadcrumbs.length - 2)
  } else if (altKey || (isButton && (key === ' ' || key === 'Enter'))) {
    return false
  } else if (isCtrl && key.toLowerCase() === 'a') {
    selection.toggleAll(selectable)
  } else if (key === 'Enter') {
    actions.open(entry)
  } else if (key === ' ') {
    if (!isSelectable(entry, core.filter)) return true
    if (shiftKey) selection.extendTo(entry.id, selectable)
    else selection.toggle(entry)
  } else {
    return move(key, isCtrl, shiftKey && selection.isMultiple ? core : null)
  }
  return true
}
