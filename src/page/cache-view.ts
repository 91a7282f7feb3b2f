import { html, type TemplateResult } from 'lit'
import type { PageContext } from './page-context.ts'

/** Renders the state of the server's cache, as the response headers report it. */
export function cacheView({ core, format }: PageContext): TemplateResult {
  const { hits, misses, entries, ageMs, last } = core.watch
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
