import { html, nothing, type TemplateResult } from 'lit'
import type { ConnectionView, ProviderView } from '../api.ts'
import { isolated, displayName } from '../state/selection.ts'
import type { Task } from '../state/task.ts'
import { problemText } from '../strings.ts'
import type { ViewContext } from './context.ts'
import { icon } from './icons.ts'

/** Renders a panel in place of the entries. */
export function panel(content: unknown): TemplateResult {
  return html`<div class="panel" part="panel">${content}</div>`
}

export function button(label: string, onClick: () => void, isMain = false): TemplateResult {
  return html`<button type="button" part="button" class=${isMain ? 'main-action' : ''} @click=${onClick}>
    ${label}
  </button>`
}

/** Renders placeholder rows with a cancel button, and a message if loading is slow. */
export function skeletonPanel(task: Task, { t }: ViewContext): TemplateResult {
  const isSlow = task.state.type === 'busy' && task.state.isSlow
  return panel(html`
    <p role="status">${isSlow ? t('slow') : t('loading')}</p>
    ${cancelButton(task, t('cancel'))}
    <div class="bones" aria-hidden="true">${Array.from({ length: 7 }, () => html`<div></div>`)}</div>
  `)
}

function cancelButton(task: Task, label: string): TemplateResult {
  return button(label, () => {
    task.cancel()
  })
}

/** Renders a failure and the possible actions. @param actions actions other than "try again" */
export function failureView(task: Task, { t, format }: ViewContext, actions: unknown = nothing): unknown {
  const { state } = task
  if (state.type !== 'failed') return nothing
  const { problem, secondsLeft } = state
  // role=timer is not announced on each change. Announcing every second would drown out other messages.
  const timer =
    secondsLeft === null
      ? nothing
      : html`<span role="timer" class="hint">
          ${t(task.autoRetry ? 'retryIn' : 'waitFor', { time: format.duration(secondsLeft) })}
        </span>`
  return html`
    <span role="alert" class="wrong">${problemText(problem, t)}</span>
    ${timer}
    <div class="buttons">
      ${button(t('retry'), () => void task.retry(), true)} ${actions}
      ${secondsLeft === null ? nothing : cancelButton(task, t('cancel'))}
    </div>
  `
}

export function cancelledView(task: Task, text: string, { t }: ViewContext): TemplateResult {
  return html`<span role="status">${text}</span> ${button(t('retry'), () => void task.retry())}`
}

/** Renders why a connection does not work, and how to repair it. */
export function brokenPanel(connection: ConnectionView, context: ViewContext): TemplateResult {
  const { core, t, actions } = context
  const provider = core.connectionList.providerOf(connection.provider)
  const values = { connection: isolated(connection.label) }
  if (connection.status === 'DISABLED') return panel(html`<p role="status">${t('isDisabled', values)}</p>`)
  const isError = connection.status === 'ERROR'
  const verify = button(t('verify'), () => {
    actions.verify(connection)
  })
  const { verification } = core
  return panel(html`
    <p role="status">${t(isError ? 'isBroken' : 'needsReauth', values)}</p>
    <div class="buttons">
      ${
        provider === undefined
          ? nothing
          : button(
              t('reconnect'),
              () => {
                actions.connect(provider, connection)
              },
              true
            )
      }
      ${isError ? verify : nothing}
    </div>
    ${verification.isBusy ? html`<p role="status">${t('loading')}</p>` : nothing}
    ${verification.problem === null ? nothing : html`<p role="alert" class="wrong">${problemText(verification.problem, t)}</p>`}
  `)
}

/** Renders the providers, each with the user's connections and their status. */
export function sideView(context: ViewContext): TemplateResult {
  const { core, t } = context
  return html`<nav class="side" part="sidebar" aria-label=${t('providers')}>
    <ul>
      ${core.connectionList.providers.map((provider) => providerItem(provider, context))}
    </ul>
  </nav>`
}

function providerItem(provider: ProviderView, context: ViewContext): TemplateResult {
  const { core, t, actions } = context
  const connections = core.connectionList.connectionsOf(provider.id)
  return html`<li>
    <span class="provider">${provider.label}</span>
    ${
      connections.length === 0
        ? nothing
        : html`<ul aria-label=${t('connections', { provider: provider.label })}>
            ${connections.map((connection) => connectionItem(connection, context))}
          </ul>`
    }
    <button
      type="button"
      class="quiet"
      @click=${() => {
        actions.connect(provider, null)
      }}
    >
      ${icon('add')}<span>${t('connect', { provider: provider.label })}</span>
    </button>
  </li>`
}

function connectionItem(connection: ConnectionView, { core, t, actions }: ViewContext): TemplateResult {
  const { id, label, account, status } = connection
  const isCurrent = core.connectionId === id && core.connectFlow.provider === null
  return html`<li>
    <button
      type="button"
      class="quiet"
      aria-current=${isCurrent ? 'page' : nothing}
      title=${displayName(account)}
      @click=${() => {
        actions.openConnection(connection)
      }}
    >
      ${icon(status === 'ACTIVE' ? 'drive' : 'warning')}
      <span>
        <bdi>${displayName(label)}</bdi>
        ${status === 'ACTIVE' ? nothing : html`<small>${t(`status_${status}`)}</small>`}
      </span>
    </button>
  </li>`
}
