import { html, nothing, type TemplateResult } from 'lit'
import type { PageContext } from './page-context.ts'
import { readToken } from './session.ts'

const WHY = {
  never: null,
  left: 'You have signed out in this tab.',
  expired: 'This token is invalid or has expired. Enter another one.'
} as const

export function signInView({ core }: PageContext): TemplateResult {
  const why = WHY[core.session.signedOut]
  return html`<main class="sign-in">
    <section class="card" aria-labelledby="sign-in">
      <h2 id="sign-in">Sign in</h2>
      ${why === null ? nothing : html`<p role="alert" id="why" class="wrong">${why}</p>`}
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
          aria-describedby=${why === null ? 'kept' : 'why kept'}
        />
        <button type="submit" class="main-action">Sign in</button>
        <p id="kept" class="hint">Stored only in this tab until you close it.</p>
      </form>
    </section>
  </main>`
}
