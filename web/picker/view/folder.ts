import { html, nothing, type TemplateResult } from 'lit'
import type { EntryChanges } from '../state/folder.ts'
import { COLUMNS } from './grid-rows.ts'
import type { GridView } from './grid.ts'
import { brokenPanel, button, cancelledView, failureView, panel, skeletonPanel } from './panels.ts'
import { connectPanel } from './connect.ts'
import type { ViewContext } from './context.ts'

/** Renders the main area: a form, the folder, or the reason why there is none. */
export function mainView(context: ViewContext, grid: GridView): unknown {
  const { core, t } = context
  const { connectionList, browser, connectFlow, connection } = core
  if (connectFlow.provider !== null) return connectPanel(context)
  if (connectionList.providers.length === 0 && connectionList.task.state.type !== 'idle')
    return taskPanel(connectionList.task, context)
  if (connection === undefined) {
    return panel(
      html`<p role="status">${t(connectionList.providers.length === 0 ? 'nothingOffered' : 'nothingConnected')}</p>`
    )
  }
  if (connection.status !== 'ACTIVE') return brokenPanel(connection, context)
  return browser.pages === null ? taskPanel(browser.loading, context) : folderView(context, grid)
}

function taskPanel(task: ViewContext['core']['connectionList']['task'], context: ViewContext): unknown {
  const { core, t, actions } = context
  const { state } = task
  if (state.type === 'cancelled') return panel(cancelledView(task, t('cancelled'), context))
  if (state.type !== 'failed') return skeletonPanel(task, context)
  const { provider, connection, browser } = core
  const needsAccess = ['INSUFFICIENT_SCOPE', 'CREDENTIALS_UNREADABLE'].includes(state.problem.code)
  return panel(
    failureView(task, context, [
      browser.breadcrumbs.length > 1
        ? button(t('toRoot'), () => {
            actions.openAncestor(0)
          })
        : nothing,
      needsAccess && provider !== undefined && connection !== undefined
        ? button(t('reconnect'), () => {
            actions.connect(provider, connection)
          })
        : nothing
    ])
  )
}

function folderView(context: ViewContext, grid: GridView): TemplateResult {
  const { core, t } = context
  const { browser, rows, query } = core
  const isComplete = browser.pages?.next === null && browser.pages.reason === null
  if (rows.length === 0 && (browser.pages?.next === null || query !== '')) {
    const empty = browser.breadcrumbs.length > 1 ? 'empty' : 'emptyRoot'
    return panel(html`<p role="status">${t(query === '' ? empty : 'nothingFound')}</p>`)
  }
  // -1 means that the total is unknown (WAI-ARIA).
  return html`<div
    class="grid"
    part="grid"
    role="grid"
    aria-label=${t('label')}
    aria-rowcount=${isComplete || query !== '' ? rows.length + 1 : -1}
    aria-multiselectable=${core.selection.isMultiple}
    aria-busy=${browser.loading.isBusy || browser.paging.isBusy}
    @scroll=${grid.onScroll}
    @click=${grid.onClick}
    @dblclick=${grid.onDoubleClick}
    @keydown=${grid.onKey}
  >
    <div role="rowgroup" class="head">
      <div role="row" class="row" aria-rowindex="1">
        ${COLUMNS.map((column) => html`<div role="columnheader" class=${column}>${heading(column, context)}</div>`)}
      </div>
    </div>
    <div role="rowgroup" class="body"></div>
  </div>`
}

function heading(column: (typeof COLUMNS)[number], { t }: ViewContext): unknown {
  return column === 'actions' ? html`<span class="hidden">${t('actions')}</span>` : t(column)
}

/** Renders the notices about the current folder. */
export function noticesView(context: ViewContext): TemplateResult[] {
  const { core, t } = context
  const { browser } = core
  const { pages, loading, paging } = browser
  if (pages === null || !core.isShown) return []
  const notices: unknown[] = []
  if (core.transferQueue.hasRejectedFolders) notices.push(html`<span role="alert">${t('noFolders')}</span>`)
  if (browser.wasReloaded) notices.push(html`<span role="status">${t('restarted')}</span>`)
  if (pages.reason !== null && (pages.reason !== 'more' || pages.next === null)) {
    notices.push(html`<span role="note">${t(`reason_${pages.reason}`)}</span>`)
  }
  for (const task of [loading, paging]) {
    const { state } = task
    if (state.type === 'failed') notices.push(failureView(task, context))
    if (state.type === 'cancelled') notices.push(cancelledView(task, t('cancelledMore'), context))
  }
  if (pages.next !== null && paging.state.type === 'idle' && (core.query !== '' || core.rows.length === 0)) {
    const text = t(core.query === '' ? 'cancelledMore' : 'searchesLoaded')
    notices.push(html`<span>${text}</span> ${button(t('loadMore'), () => void browser.loadMore(true))}`)
  }
  return notices.map((notice) => html`<div class="notice" part="notice">${notice}</div>`)
}

/** Returns the changes that others have made, such as "1 item added". */
function announcement(changes: EntryChanges | null, t: ViewContext['t']): string {
  if (changes === null) return ''
  const keys = ['added', 'removed', 'changed'] as const
  return keys.flatMap((key) => (changes[key] === 0 ? [] : t(key, { n: changes[key] }))).join(', ')
}

/** Renders the number of entries, the selection and pending loads in one line, so that the layout does not shift. */
export function statusView({ core, t }: ViewContext): TemplateResult {
  const { pages, loading, paging } = core.browser
  const total = pages?.entries.length ?? 0
  const { isShown } = core
  const busyTask = !isShown ? undefined : [loading, paging].find(({ isBusy }) => isBusy)
  const parts: string[] = []
  if (pages !== null && isShown) {
    parts.push(core.query === '' ? t('entries', { n: total }) : t('found', { n: core.rows.length, total }))
    if (busyTask?.state.type === 'busy') parts.push(t(busyTask.state.isSlow ? 'slow' : 'loading'))
    else if (pages.next !== null) parts.push(t('more'))
    if (core.selection.size > 0) parts.push(t('selected', { n: core.selection.size }))
  }
  // What the announcement says is not read a second time, as another number of entries.
  const live = core.announced === null || busyTask !== undefined ? 'polite' : 'off'
  return html`<div class="status" part="status">
    <span role="status" aria-live=${live}>${parts.length === 0 ? nothing : parts.join(' · ')}</span>
    <span class="hidden" aria-live="polite">${announcement(core.announced, t)}</span>
    ${
      busyTask === undefined
        ? nothing
        : button(t('cancel'), () => {
            busyTask.cancel()
          })
    }
    <slot name="actions"></slot>
  </div>`
}
