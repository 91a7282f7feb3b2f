import { html, nothing, type TemplateResult } from 'lit'
import type { Entry } from '../domain/entry.ts'
import { fileBehind, meantKind, shownName } from './entry-rules.ts'
import { icon, pathOf } from './icons.ts'
import type { ViewContext } from './view-context.ts'

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
  const name = shownName(entry.name)
  const tab = (column: number): number => (column === activeColumn ? 0 : -1)
  return html`<div role="gridcell" class="name" part="cell" tabindex=${tab(0)} title=${name}>
      ${canSelect && core.selection.isMultiple ? CHECK : nothing}<svg
        viewBox="0 0 24 24"
        role="img"
        class=${meantKind(entry)}
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
      fileBehind(entry) !== null
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
