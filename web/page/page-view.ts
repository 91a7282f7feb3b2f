import { html, nothing, type TemplateResult } from 'lit'
import type { PickerEventMap } from '../picker/element.ts'
import { icon } from '../picker/view/icons.ts'
import type { PageContext } from './context.ts'
import { documentsView, removalDialog } from './documents-view.ts'
import { readToken } from './session.ts'

export function pageView(context: PageContext): TemplateResult {
  const isSignedIn = context.core.session.token !== null
  return html`${headerView(context)} ${isSignedIn ? mainView(context) : signInView(context)}
    <p class="hidden" role="status">${context.core.announcement}</p>`
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

function mainView(context: PageContext): TemplateResult {
  return html`<main class="home">
      <section class="card clouds" aria-labelledby="clouds">
        <h2 id="clouds" tabindex="-1">Your clouds</h2>
        ${pickerView(context)}
      </section>
      ${cacheView(context)} ${documentsView(context)}
    </main>
    ${removalDialog(context)}`
}

function pickerView({ core }: PageContext): TemplateResult {
  const { selection, documentChange, documents } = core
  const count = selection.entries.length
  return html`<cloud-folder-picker
    kind="file"
    multiple
    ?readonly=${documents.uploads === null}
    return-to="/picker/landing.html"
    .fetch=${core.fetch}
    .getHeaders=${() => core.session.headers}
    @select=${({ detail }: PickerEventMap['select']) => {
      core.setSelection(detail)
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
      ?disabled=${count === 0 || documentChange.isBusy}
      @click=${() => void core.addSelection()}
    >
      ${icon('add')}Add to documents${count > 1 ? html` (${count})` : nothing}
    </button>
  </cloud-folder-picker>`
}

const SIGN_OUT_MESSAGES = {
  never: null,
  left: 'You have signed out in this tab.',
  expired: 'This token is invalid or has expired. Enter another one.'
} as const

export function signInView({ core }: PageContext): TemplateResult {
  const message = SIGN_OUT_MESSAGES[core.session.signOutReason]
  return html`<main class="sign-in">
    <section class="card" aria-labelledby="sign-in">
      <h2 id="sign-in">Sign in</h2>
      ${message === null ? nothing : html`<p role="alert" id="sign-in-problem" class="wrong">${message}</p>`}
      <p>
        Sign in with an access token. In the demo, use the link printed in the terminal; otherwise ask your
        administrator.
      </p>
      <form
        @submit=${(event: SubmitEvent) => {
          event.preventDefault()
          const input = (event.currentTarget as HTMLFormElement).elements.namedItem('token') as HTMLInputElement
          const token = readToken(input.value)
          if (token !== '') void core.signIn(token)
        }}
      >
        <label for="token">Access token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="off"
          spellcheck="false"
          required
          aria-describedby=${message === null ? 'token-hint' : 'sign-in-problem token-hint'}
        />
        <button type="submit" class="main-action">Sign in</button>
        <p id="token-hint" class="hint">Stored only in this tab until you close it.</p>
      </form>
    </section>
  </main>`
}

/** Renders the state of the server's cache, as the response headers report it. */
export function cacheView({ core, format }: PageContext): TemplateResult {
  const { hits, misses, entries, ageMs, last } = core.cacheMonitor
  const figures: [label: string, value: string, name: string][] = [
    ['Hits', String(hits), 'hits'],
    ['Misses', String(misses), 'misses'],
    ['Cached listings', String(entries), 'entries'],
    ['Age of this listing', ageMs === null ? '–' : format.duration(Math.floor(ageMs / 1000)), 'age']
  ]
  return html`<section class="card cache" aria-labelledby="cache">
    <h2 id="cache">Listing cache</h2>
    <dl>
      ${figures.map(
        ([label, value, name]) =>
          html`<div>
            <dt>${label}</dt>
            <dd data-figure=${name}>${value}</dd>
          </div>`
      )}
    </dl>
    <p class="header-line">
      ${
        last === null
          ? html`<span class="hint">Open a folder to see whether it came from the cache.</span>`
          : html`<span class=${last.isHit ? 'badge hit' : 'badge'}>${last.isHit ? 'hit' : 'miss'}</span>
              <code dir="ltr">Cache-Status: ${last.text}</code>`
      }
    </p>
  </section>`
}
