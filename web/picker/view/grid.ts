import type { Entry } from '../../../src/core/entry.ts'
import { targetFolderId, isSelectable } from '../state/selection.ts'
import { cellAfter, handleKey } from './grid-input.ts'
import { isNearEnd, rangeOf, scrollTopFor, type Viewport, RowPool } from './grid-rows.ts'
import type { PickerCore } from '../state/picker.ts'
import type { ViewContext } from './context.ts'

/** The rows of the table: the visible ones and the one that has the keyboard focus. */
export class GridView {
  #grid: HTMLElement | null = null
  #body: HTMLElement | null = null
  #context: ViewContext | null = null
  readonly #pool = new RowPool()
  #rows: readonly Entry[] = []
  #indexes = new Map<string, number>()
  /** Identifies the current folder. */
  #folderKey = ''
  #activeId: string | null = null
  #column = 0
  #query = ''
  #rowHeight = 40
  /** The entry that a double click began on. Ignores the double click if another row has moved under the pointer. */
  #clickedId: string | null = null
  #height = 0
  readonly #resizeObserver = new ResizeObserver(() => {
    this.#measure()
    this.#keepFocusVisible()
    this.#draw()
  })

  /** @param grid the table element, which contains the body; `null` if there is none */
  attach(grid: HTMLElement | null): void {
    if (grid === this.#grid) return
    this.#resizeObserver.disconnect()
    this.#pool.clear()
    this.#grid = grid
    this.#body = grid?.querySelector<HTMLElement>('.body') ?? null
    this.#height = 0
    if (grid !== null) this.#resizeObserver.observe(grid)
  }

  /** @param key identifies the folder */
  update(context: ViewContext, key: string): void {
    const { rows, browser } = context.core
    const anchor = this.#anchor()
    const oldRows = this.#rows
    const hadFocus = this.hasFocus()
    const isSameSearch = this.#context !== null && this.#query === context.core.query
    this.#query = context.core.query
    this.#context = context
    if (rows !== this.#rows) {
      this.#rows = rows
      this.#indexes = new Map(rows.map(({ id }, index) => [id, index]))
    }
    if (key !== this.#folderKey) {
      this.#folderKey = key
      this.#activeId = browser.previousChildId
      this.#column = 0
    }
    const lostId = this.#activeId !== null && !this.#indexes.has(this.#activeId) ? this.#activeId : null
    if (lostId !== null && isSameSearch) this.#activeId = this.#nearest(lostId, oldRows)
    if (this.#activeId === null || !this.#indexes.has(this.#activeId)) this.#activeId = rows[0]?.id ?? null
    this.#draw()
    this.#measure()
    this.#restoreScroll(anchor, oldRows)
    this.#draw()
    // The element of a row that disappears is removed, or reused for another row.
    if (hadFocus && (lostId !== null || !this.hasFocus())) this.#focusCell(this.#activeIndex, this.#column)
  }

  /** Whether a cell, or the button in it, has the keyboard focus. */
  hasFocus(): boolean {
    const root = this.#body?.getRootNode()
    const focused = root instanceof ShadowRoot ? root.activeElement : null
    return focused !== null && this.#body?.contains(focused) === true
  }

  /** Returns the row that follows a removed one, or else precedes it. */
  #nearest(id: string, oldRows: readonly Entry[]): string | null {
    const at = oldRows.findIndex((entry) => entry.id === id)
    const following = oldRows.slice(at + 1).find((entry) => this.#indexes.has(entry.id))
    return (following ?? oldRows.slice(0, Math.max(at, 0)).findLast((entry) => this.#indexes.has(entry.id)))?.id ?? null
  }

  /** Focuses the current cell. */
  focus(): void {
    if (this.#activeIndex >= 0) this.#moveTo(this.#activeIndex, this.#column)
  }

  readonly onScroll = (): void => {
    this.#draw()
  }

  readonly onClick = (event: MouseEvent): void => {
    const clicked = this.#rowAt(event)
    if (clicked === null || this.#context === null) return
    const { entry, index, target } = clicked
    const { actions, core } = this.#context
    const isFirst = event.detail < 2
    if (isFirst) this.#clickedId = entry.id
    else if (this.#clickedId !== entry.id) this.#clickedId = null
    if (target.closest('button') !== null) {
      this.#setActiveCell(index, 3)
      actions.download(entry)
      return
    }
    this.#moveTo(index, Math.max(0, [...(target.closest('.row')?.children ?? [])].indexOf(cellOf(target))))
    const isTouch = event instanceof PointerEvent && event.pointerType === 'touch'
    const isCheck = target.closest('.check') !== null
    if (!isSelectable(entry, core.filter) || (isTouch && !isCheck && targetFolderId(entry) !== null)) {
      if (isFirst && targetFolderId(entry) !== null) actions.open(entry)
    } else if (isCheck || event.ctrlKey || event.metaKey) core.selection.toggle(entry)
    else if (event.shiftKey) core.selection.extendTo(entry.id, core.selectable)
    else core.selection.replace(entry)
  }

  readonly onDoubleClick = (event: MouseEvent): void => {
    const clicked = this.#rowAt(event)
    if (clicked === null || clicked.target.closest('button, .check') !== null || clicked.entry.id !== this.#clickedId)
      return
    this.#context?.actions.open(clicked.entry)
  }

  readonly onKey = (event: KeyboardEvent): void => {
    const entry = this.#rows[this.#activeIndex]
    if (entry === undefined || this.#context === null) return
    const isHandled = handleKey(event, entry, this.#context, (key, isCtrl, selectionOwner) =>
      this.#moveByKey(key, isCtrl, selectionOwner)
    )
    if (isHandled) event.preventDefault()
  }

  #moveByKey(key: string, isCtrl: boolean, selectionOwner: PickerCore | null): boolean {
    const cells = this.#cellsOf(this.#activeIndex).filter(({ offsetWidth }) => offsetWidth > 0)
    const all = this.#cellsOf(this.#activeIndex)
    const column = cells.findIndex((cell) => cell === all[this.#column])
    const { height, rowHeight } = this.#viewport
    const isRtl = this.#grid !== null && getComputedStyle(this.#grid).direction === 'rtl'
    const shape = {
      rows: this.#rows.length,
      columns: cells.length,
      pageRows: Math.max(1, Math.floor(height / rowHeight) - 2),
      isRtl
    }
    const to = cellAfter(key, isCtrl, { row: this.#activeIndex, column: Math.max(column, 0) }, shape)
    if (to === null) return false
    const from = this.#rows[this.#activeIndex]
    this.#moveTo(to.row, all.indexOf(cells[to.column] ?? (all[0] as HTMLElement)))
    const entry = this.#rows[to.row]
    if (selectionOwner !== null && entry !== undefined && entry !== from) {
      selectionOwner.selection.extendTo(entry.id, selectionOwner.selectable)
    }
    return true
  }

  get #activeIndex(): number {
    return this.#indexes.get(this.#activeId ?? '') ?? -1
  }

  get #viewport(): Viewport {
    return {
      top: this.#grid?.scrollTop ?? 0,
      height: this.#grid?.clientHeight ?? 0,
      rowHeight: this.#rowHeight
    }
  }

  #setActiveCell(index: number, column: number): void {
    this.#activeId = this.#rows[index]?.id ?? null
    this.#column = column
    this.#draw()
  }

  #moveTo(index: number, column: number): void {
    this.#scrollTo(index)
    this.#setActiveCell(index, column)
    this.#focusCell(index, column)
  }

  #focusCell(index: number, column: number): void {
    const cell = this.#cellsOf(index)[column]
    const target = cell?.querySelector('button') ?? cell
    target?.focus({ preventScroll: true })
  }

  /** Scrolls so that a shorter viewport, for example after a notice, does not hide the focused row. */
  #keepFocusVisible(): void {
    const viewport = this.#viewport
    const start = this.#activeIndex * viewport.rowHeight
    const wasVisible = start >= viewport.top && start < viewport.top + this.#height
    this.#height = viewport.height
    if (wasVisible) this.#scrollTo(this.#activeIndex)
  }

  #scrollTo(index: number): void {
    if (this.#grid === null) return
    const head = (this.#body?.offsetTop ?? 0) - this.#grid.clientTop
    this.#grid.scrollTop = scrollTopFor(index, this.#viewport, head)
  }

  #cellsOf(index: number): HTMLElement[] {
    const row = this.#body?.querySelector(`[aria-rowindex="${index + 2}"]`)
    return [...(row?.children ?? [])].filter((cell) => cell instanceof HTMLElement)
  }

  #rowAt(event: Event): { entry: Entry; index: number; target: Element } | null {
    const target = event.target
    const row = target instanceof Element ? target.closest('.body > .row') : null
    const index = Number(row?.getAttribute('aria-rowindex')) - 2
    const entry = this.#rows[index]
    return entry === undefined || !(target instanceof Element) ? null : { entry, index, target }
  }

  /** Returns the first visible row. Restoring it prevents a jump when rows are inserted above. */
  #anchor(): { id: string; index: number } | null {
    const { top, rowHeight } = this.#viewport
    const index = Math.round(top / rowHeight)
    const id = this.#rows[index]?.id
    return top === 0 || id === undefined ? null : { id, index }
  }

  #restoreScroll(anchor: { id: string; index: number } | null, oldRows: readonly Entry[]): void {
    if (this.#grid === null || anchor === null) return
    // If the row itself was removed, the next one stays where it is.
    const index = oldRows.findIndex(({ id }, at) => at >= anchor.index && this.#indexes.has(id))
    const moved = this.#indexes.get(oldRows[index]?.id ?? '')
    if (moved !== undefined && moved !== index) this.#grid.scrollTop += (moved - index) * this.#rowHeight
  }

  /** Measures the height of the rows, which the styles decide. */
  #measure(): void {
    const row = this.#body?.firstElementChild
    const height = row?.getBoundingClientRect().height ?? 0
    if (height > 0) this.#rowHeight = height
    const active = this.#cellsOf(this.#activeIndex)[this.#column]
    if (active?.offsetWidth === 0) this.#column = 0
  }

  #draw(): void {
    const [context, body] = [this.#context, this.#body]
    if (context === null || body === null) return
    const viewport = this.#viewport
    const { first, end } = rangeOf(viewport, this.#rows.length)
    const active = this.#activeIndex
    const indexes = Array.from({ length: end - first }, (_, at) => first + at)
    // Removing the focused row from the document would lose the focus.
    if (active >= 0 && active < first) indexes.unshift(active)
    else if (active >= end) indexes.push(active)
    const rows = indexes.flatMap((index) => {
      const entry = this.#rows[index]
      return entry === undefined ? [] : [{ entry, index, activeColumn: index === active ? this.#column : -1 }]
    })
    body.style.setProperty('block-size', `${this.#rows.length * viewport.rowHeight}px`)
    this.#pool.draw(body, rows, viewport.rowHeight, context)
    if (isNearEnd(viewport, this.#rows.length) && context.core.query === '') void context.core.browser.loadMore()
  }
}

function cellOf(target: Element): Element {
  return target.closest('[role="gridcell"]') ?? target
}
