import { html, nothing, type TemplateResult } from 'lit'
import { isolated, shownName } from '../picker/entry-rules.ts'
import { sayProblem } from '../picker/format.ts'
import { icon } from '../picker/icons.ts'
import type { Transfer } from '../picker/transfers.ts'
import type { PageContext } from './page-context.ts'

/** Renders pending transfers. Finished ones are announced and appear in the list. */
export function transfersView(context: PageContext): unknown {
  const items = context.core.transfers.items.filter(({ isFinished }) => !isFinished)
  if (items.length === 0) return nothing
  return html`<ul class="list transfers" aria-label="Transfers">
    ${items.map((item) => itemView(item, context))}
  </ul>`
}

function itemView(item: Transfer, context: PageContext): TemplateResult {
  const name = shownName(item.name)
  const isFailed = item.task.problem !== null
  const label = (name: string): string => (isFailed ? `Remove ${name} from the list` : `Cancel ${name}`)
  return html`<li>
    ${icon(item.direction)}
    <div class="what">
      <bdi title=${name}>${name}</bdi>
      ${stateView(item, context)}
    </div>
    ${isFailed ? html`<button type="button" @click=${() => void item.task.retry()}>Try again</button>` : nothing}
    <button
      type="button"
      class="quiet"
      aria-label=${label(name)}
      title=${label(isolated(item.name))}
      @click=${() => {
        context.core.transfers.remove(item)
      }}
    >
      ${icon('close')}
    </button>
  </li>`
}

function stateView({ name, task, done, total }: Transfer, { t, format }: PageContext): TemplateResult {
  const { problem } = task
  if (problem !== null) return html`<small role="alert" class="wrong">${sayProblem(problem, t)}</small>`
  if (!task.isBusy) return html`<small>Waiting</small>`
  const known = total === null ? nothing : total
  return html`<progress
      aria-label=${shownName(name)}
      max=${known}
      value=${total === null ? nothing : Math.min(done, total)}
    ></progress>
    <small>${total === null ? format.size(done) : `${format.size(done)} / ${format.size(total)}`}</small>`
}
