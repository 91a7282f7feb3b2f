import { html, nothing, type TemplateResult } from 'lit'
import type { PageContext } from './page-context.ts'
import { readToken } from './session.ts'

const WHY = {
  never: null,
  left: 'You have signed out of this tab.',
  expired: 'Your token is not good any more, or never was. Take another one.'
} as const

export function signInView({ core }: PageContext): TemplateResult {
  const why = WHY[core.session.signedOut]
  return html`<main class="sign-in">
    <section class="card" aria-labelledby="sign-in">
      <h2 id="sign-in">Sign in</h2>
      ${why === null ? nothing : html`<p role="alert" id="why" class="wrong">${why}</p>`}
      <p>
        This server knows its users by bearer tokens. The demo prints an address with one in it when it starts; of a
        service, its operator has them.
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
          aria-describedby=${why === null ? 'kept' : 'why kept'}
        />
        <button type="submit" class="main-action">Sign in</button>
        <p id="kept" class="hint">It is kept in this tab alone, and forgotten with it.</p>
      </form>
    </section>
  </main>`
}
