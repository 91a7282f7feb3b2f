import { html, nothing, type TemplateResult } from 'lit'
import { isolated, displayName } from '../state/selection.ts'
import { problemText } from '../strings.ts'
import { icon } from './icons.ts'
import { button } from './panels.ts'
import type { Transfer } from '../state/transfers.ts'
import type { ViewContext } from './context.ts'

const NAME_TAKEN_CODES: ReadonlySet<string> = new Set(['ALREADY_EXISTS', 'PRECONDITION_FAILED'])

/** Renders the transfers: pending, finished and failed. */
export function transfersView(context: ViewContext): unknown {
  const { core, t } = context
  const { items } = core.transferQueue.transfers
  if (items.length === 0) return nothing
  return html`<section class="transfers" part="transfers" aria-label=${t('transfers')}>
    <ul>
      ${items.map((item) => itemView(item, context))}
    </ul>
    ${
      items.some(({ isFinished }) => isFinished)
        ? button(t('clear'), () => {
            core.transferQueue.transfers.clearFinished()
          })
        : nothing
    }
  </section>`
}

function itemView(item: Transfer, context: ViewContext): TemplateResult {
  const { core, t } = context
  const name = displayName(item.name)
  const label = (name: string): string =>
    t(item.isFinished || item.task.state.type === 'failed' ? 'remove' : 'stop', { name })
  return html`<li>
    ${icon(item.direction)}<bdi title=${name}>${name}</bdi> ${stateView(item, context)}
    <button
      type="button"
      class="quiet"
      aria-label=${label(name)}
      title=${label(isolated(item.name))}
      @click=${() => {
        core.transferQueue.transfers.remove(item)
      }}
    >
      ${icon('close')}
    </button>
  </li>`
}

function stateView(item: Transfer, { t, format, actions }: ViewContext): unknown {
  const { task, done, total, direction, isFinished } = item
  const name = displayName(item.name)
  if (isFinished) return html`<span role="status">${t(direction === 'upload' ? 'uploaded' : 'downloaded')}</span>`
  if (task.state.type === 'failed') {
    const { problem, secondsLeft } = task.state
    const isTaken = item.retryAs !== null && NAME_TAKEN_CODES.has(problem.code)
    return html`<span role="alert" class="wrong">${isTaken ? t('nameTaken') : problemText(problem, t)}</span> ${
        secondsLeft === null
          ? nothing
          : html`<span role="timer">${t('retryIn', { time: format.duration(secondsLeft) })}</span>`
      }
      ${
        isTaken
          ? button(t('keepBoth'), () => {
              actions.keepBoth(item)
            })
          : button(t('retry'), () => void task.retry())
      }`
  }
  if (task.state.type !== 'busy') return html`<span class="hint">${t('waiting')}</span>`
  return html`<progress
      aria-label=${name}
      max=${total ?? nothing}
      value=${total === null ? nothing : Math.min(done, total)}
    ></progress>
    <span class="hint">${total === null ? format.size(done) : `${format.size(done)} / ${format.size(total)}`}</span>`
}
