import { html, nothing, type TemplateResult } from 'lit'
import type { PickerEventMap } from '../picker/picker-element.ts'
import { icon } from '../picker/icons.ts'
import { cacheView } from './cache-view.ts'
import { documentsView, removalView } from './documents-view.ts'
import type { PageContext } from './page-context.ts'
import { signInView } from './sign-in-view.ts'

export function pageView(context: PageContext): TemplateResult {
  const isSignedIn = context.core.session.token !== null
  return html`${headerView(context)} ${isSignedIn ? homeView(context) : signInView(context)}
    <p class="hidden" role="status">${context.core.said}</p>`
}

function headerView({ core }: PageContext): TemplateResult {
  const { session } = core
  return html`<header>
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M9 23a6 6 0 0 1-.6-12A8 8 0 0 1 23.7 12.3 5.5 5.5 0 0 1 23 23z"></path>
      <path d="M12 19h8M12 16h5"></path>
    </svg>
    <h1>fastify-cloud-storage</h1>
    <nav aria-label="Links"><a href="/docs">API</a></nav>
    ${
      session.token === null
        ? nothing
        : html`<span class="user">${session.user === null ? nothing : html`<bdi>${session.user}</bdi>`}</span>
            <button
              type="button"
              @click=${() => {
                core.signOut('left')
              }}
            >
              Sign out
            </button>`
    }
  </header>`
}

function homeView(context: PageContext): TemplateResult {
  return html`<main class="home">
      <section class="card clouds" aria-labelledby="clouds">
        <h2 id="clouds" tabindex="-1">Your clouds</h2>
        ${pickerView(context)}
      </section>
      ${cacheView(context)} ${documentsView(context)}
    </main>
    ${removalView(context)}`
}

function pickerView({ core }: PageContext): TemplateResult {
  const { choice, changing, documents } = core
  const count = choice.entries.length
  return html`<cloud-folder-picker
    kind="file"
    multiple
    ?readonly=${documents.uploads === null}
    return-to="/picker/landing.html"
    .fetch=${core.fetch}
    .getHeaders=${() => core.session.headers}
    @select=${({ detail }: PickerEventMap['select']) => {
      core.choose(detail)
    }}
    @error=${(event: PickerEventMap['error']) => {
      // The event bubbles, and would reach error handlers of the window.
      event.stopPropagation()
      core.onProblem(event.detail)
    }}
  >
    <button
      slot="actions"
      class="main-action"
      type="button"
      ?disabled=${count === 0 || changing.isBusy}
      @click=${() => void core.keep()}
    >
      ${icon('add')}Add to documents${count > 1 ? html` (${count})` : nothing}
    </button>
  </cloud-folder-picker>`
}
