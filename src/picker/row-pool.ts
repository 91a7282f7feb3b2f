import { render } from 'lit'
import type { Entry } from '../domain/entry.ts'
import { isSelectable } from './entry-rules.ts'
import { cellsOf } from './grid-row.ts'
import type { ViewContext } from './view-context.ts'

export interface DrawnRow {
  readonly entry: Entry
  /** Index among all rows, from 0. */
  readonly index: number
  /** The column of the cell in the tab order, or -1. */
  readonly activeColumn: number
}

/**
 * The elements of the rendered rows. A row that leaves the screen is reused for a row that enters it. The element of
 * the focused row is neither reused nor moved, because moving it would lose the focus.
 * Lit's `repeat` could reuse elements, but 3.3.3 leaves a comment node behind for each removed row.
 */
export class RowPool {
  #byId = new Map<string, HTMLElement>()

  /** Removes all rows, before the table is removed or replaced. */
  clear(): void {
    for (const element of this.#byId.values()) element.remove()
    this.#byId.clear()
  }

  /** @param rows in their order */
  draw(body: HTMLElement, rows: readonly DrawnRow[], rowHeight: number, context: ViewContext): void {
    const wanted = new Set(rows.map(({ entry }) => entry.id))
    const spare = [...this.#byId].filter(([id]) => !wanted.has(id)).map(([, element]) => element)
    const byId = new Map<string, HTMLElement>()
    for (const { entry } of rows) byId.set(entry.id, this.#byId.get(entry.id) ?? spare.pop() ?? newRow())
    for (const element of spare) element.remove()
    this.#byId = byId
    for (const row of rows) {
      const element = byId.get(row.entry.id)
      if (element !== undefined) fill(element, row, rowHeight, context)
    }
    const active = rows.findIndex(({ activeColumn }) => activeColumn !== -1)
    arrange(body, [...byId.values()], active)
  }
}

function newRow(): HTMLElement {
  const element = document.createElement('div')
  element.role = 'row'
  element.setAttribute('part', 'row')
  return element
}

function fill(
  element: HTMLElement,
  { entry, index, activeColumn }: DrawnRow,
  rowHeight: number,
  context: ViewContext
): void {
  const { core } = context
  const canSelect = isSelectable(entry, core.filter)
  element.className = canSelect ? 'row' : 'row dim'
  element.ariaRowIndex = String(index + 2)
  element.ariaSelected = canSelect ? String(core.selection.has(entry.id)) : null
  element.style.setProperty('inset-block-start', `${index * rowHeight}px`)
  render(cellsOf(entry, canSelect, activeColumn, context), element)
}

/** Puts the elements in order without moving the one at `fixed`, if that is not -1. */
function arrange(body: HTMLElement, elements: readonly HTMLElement[], fixed: number): void {
  const pivot = elements[fixed]
  if (pivot !== undefined && pivot.parentNode !== body) body.append(pivot)
  let next = pivot ?? null
  for (const element of elements.slice(0, Math.max(fixed, 0)).reverse()) {
    if (element.parentNode !== body || element.nextSibling !== next) body.insertBefore(element, next)
    next = element
  }
  let previous = pivot ?? null
  for (const element of elements.slice(fixed + 1)) {
    const isThere = element.parentNode === body && element.previousSibling === previous
    if (!isThere && previous === null) body.prepend(element)
    else if (!isThere) previous?.after(element)
    previous = element
  }
}
