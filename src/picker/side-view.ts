import { html, nothing, type TemplateResult } from 'lit'
import { shownName } from './entry-rules.ts'
import { icon } from './icons.ts'
import type { ConnectionView, ProviderView } from './picker-api.ts'
import type { ViewContext } from './view-context.ts'

/** Renders the providers, each with the user's connections and their status. */
export function sideView(context: ViewContext): TemplateResult {
  const { core, t } = context
  return html`<nav class="side" part="sidebar" aria-label=${t('providers')}>
    <ul>
      ${core.shelf.providers.map((provider) => providerItem(provider, context))}
    </ul>
  </nav>`
}

function providerItem(provider: ProviderView, context: ViewContext): TemplateResult {
  const { core, t, act } = context
  const connections = core.shelf.connectionsOf(provider.id)
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
        act.connect(provider, null)
      }}
    >
      ${icon('add')}<span>${t('connect', { provider: provider.label })}</span>
    </button>
  </li>`
}

function connectionItem(connection: ConnectionView, { core, t, act }: ViewContext): TemplateResult {
  const { id, label, account, status } = connection
  const isCurrent = core.connectionId === id && core.connecting.provider === null
  return html`<li>
    <button
      type="button"
      class="quiet"
      aria-current=${isCurrent ? 'page' : nothing}
      title=${shownName(account)}
      @click=${() => {
        act.visit(connection)
      }}
    >
      ${icon(status === 'ACTIVE' ? 'drive' : 'warning')}
      <span>
        <bdi>${shownName(label)}</bdi>
        ${status === 'ACTIVE' ? nothing : html`<small>${t(`status_${status}`)}</small>`}
      </span>
    </button>
  </li>`
}
