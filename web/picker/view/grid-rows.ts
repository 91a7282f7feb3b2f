import { html, nothing, render, type TemplateResult } from 'lit'
import type { Entry } from '../../../src/core/entry.ts'
import { targetFileId, isSelectable, effectiveKind, displayName } from '../state/selection.ts'
import type { ViewContext } from './context.ts'
import { icon, pathOf } from './icons.ts'

/** The columns of a row, in order. */
export const COLUMNS = ['name', 'size', 'modified', 'actions'] as const

/**
 * Renders the cells of one entry. A table has many rows, so the number of nodes is kept low: texts are set as
 * properties, which need no marker nodes.
 * @param activeColumn the column of the cell in the tab order, or -1
 */
export function cellsOf(
  entry: Entry,
  canSelect: boolean,
  activeColumn: number,
  { core, t, format }: ViewContext
): TemplateResult {
  const name = displayName(entry.name)
  const tab = (column: number): number => (column === activeColumn ? 0 : -1)
  return html`<div role="gridcell" class="name" part="cell" tabindex=${tab(0)} title=${name}>
      ${canSelect && core.selection.isMultiple ? CHECK : nothing}<svg
        viewBox="0 0 24 24"
        role="img"
        class=${effectiveKind(entry)}
        aria-label=${t(`kind_${entry.kind}`)}
      >
        <path d=${pathOf(entry)}></path></svg
      ><bdi .textContent=${name}></bdi>
    </div>
    <div role="gridcell" class="size" part="cell" tabindex=${tab(1)} .textContent=${format.size(entry.size)}></div>
    <div
      role="gridcell"
      class="modified"
      part="cell"
      tabindex=${tab(2)}
      .textContent=${format.moment(entry.modifiedAt)}
    ></div>
    ${
      targetFileId(entry) !== null
        ? html`<div role="gridcell" class="actions" part="cell">
            <button type="button" class="quiet" tabindex=${tab(3)} aria-label=${t('download', { name })}>
              ${DOWNLOAD}
            </button>
          </div>`
        : html`<div role="gridcell" class="actions" part="cell" tabindex=${tab(3)}></div>`
    }`
}

/** Hidden from assistive technology: `aria-selected` of the row has the same information. */
const CHECK = html`<span class="check" aria-hidden="true"></span>`
const DOWNLOAD = icon('download')

export interface RenderedRow {
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
  draw(body: HTMLElement, rows: readonly RenderedRow[], rowHeight: number, context: ViewContext): void {
    const visibleIds = new Set(rows.map(({ entry }) => entry.id))
    const spare = [...this.#byId].filter(([id]) => !visibleIds.has(id)).map(([, element]) => element)
    const byId = new Map<string, HTMLElement>()
    for (const { entry } of rows) byId.set(entry.id, this.#byId.get(entry.id) ?? spare.pop() ?? newRow())
    for (const element of spare) element.remove()
    this.#byId = byId
    for (const row of rows) {
      const element = byId.get(row.entry.id)
      if (element !== undefined) renderRow(element, row, rowHeight, context)
    }
    const active = rows.findIndex(({ activeColumn }) => activeColumn !== -1)
    orderElements(body, [...byId.values()], active)
  }
}

function newRow(): HTMLElement {
  const element = document.createElement('div')
  element.role = 'row'
  element.setAttribute('part', 'row')
  return element
}

function renderRow(
  element: HTMLElement,
  { entry, index, activeColumn }: RenderedRow,
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
function orderElements(body: HTMLElement, elements: readonly HTMLElement[], fixedIndex: number): void {
  const pivot = elements[fixedIndex]
  if (pivot !== undefined && pivot.parentNode !== body) body.append(pivot)
  let next = pivot ?? null
  for (const element of elements.slice(0, Math.max(fixedIndex, 0)).reverse()) {
    if (element.parentNode !== body || element.nextSibling !== next) body.insertBefore(element, next)
    next = element
  }
  let previous = pivot ?? null
  for (const element of elements.slice(fixedIndex + 1)) {
    const isInPlace = element.parentNode === body && element.previousSibling === previous
    if (!isInPlace && previous === null) body.prepend(element)
    else if (!isInPlace) previous?.after(element)
    previous = element
  }
}

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

/** Returns the scroll offset that shows a row completely. @param headHeight height of the sticky table head in pixels */
export function scrollTopFor(index: number, { top, height, rowHeight }: Viewport, headHeight: number): number {
  const start = index * rowHeight
  return Math.max(Math.min(top, start), start + rowHeight - (height - headHeight))
}
