import { html, nothing, type TemplateResult } from 'lit'
import { isolated, displayName } from '../picker/state/selection.ts'
import type { Transfer } from '../picker/state/transfers.ts'
import { problemText } from '../picker/strings.ts'
import { icon } from '../picker/view/icons.ts'
import type { PageContext } from './context.ts'
import type { DocumentView } from './documents.ts'

export function documentsView(context: PageContext): TemplateResult {
  const { core, isDropping, dropZone, chooseFiles } = context
  const { documents } = core
  const canUpload = documents.uploads != null
  return html`<section
    class=${isDropping && canUpload ? 'card documents over' : 'card documents'}
    aria-labelledby="documents"
    @dragover=${dropZone.onDrag}
    @dragleave=${dropZone.onDrag}
    @drop=${dropZone.onDrop}
  >
    <div class="bar">
      <h2 id="documents" tabindex="-1">Documents</h2>
      ${
        canUpload
          ? html`<button type="button" @click=${chooseFiles}>${icon('upload')}Upload</button>`
          : documents.uploads === null
            ? html`<span class="hint">Uploads are not available on this server.</span>`
            : nothing
      }
    </div>
    ${transfersView(context)} ${problemView(context)} ${listView(context)}
  </section>`
}

function problemView({ core, t }: PageContext): unknown {
  const { loading } = core.documents
  const { documentChange } = core
  return [loading, documentChange].map(({ problem }, at) => {
    if (problem === null) return nothing
    return html`<p role="alert" class="wrong">
      ${problemText(problem, t)}
      ${
        at === 0
          ? html`<button type="button" @click=${() => void loading.retry()}>Try again</button>`
          : html`<button
              type="button"
              @click=${() => {
                documentChange.stop()
              }}
            >
              Dismiss
            </button>`
      }
    </p>`
  })
}

function listView(context: PageContext): unknown {
  const { core } = context
  const { items, next, loading, uploads } = core.documents
  if (uploads === undefined) return loading.isBusy ? html`<p class="hint" role="status">Loading…</p>` : nothing
  if (items.length === 0) {
    return html`<p class="hint">
      No documents yet. ${uploads === null ? 'Add' : 'Drop files here, upload them, or add'} files from a cloud.
    </p>`
  }
  return html`<ul class="list">
      ${items.map((item) => itemView(item, context))}
    </ul>
    ${
      next === null
        ? nothing
        : html`<button type="button" ?disabled=${loading.isBusy} @click=${() => void core.documents.loadMore()}>
            Show more
          </button>`
    }`
}

function itemView(item: DocumentView, { core, format }: PageContext): TemplateResult {
  const name = displayName(item.name)
  const details = [
    item.hasContent ? format.size(item.size) : 'not uploaded yet',
    format.moment(item.createdAt),
    item.provider === null ? 'on this server' : `in ${item.provider}`
  ]
  return html`<li>
    ${icon(item.provider === null ? 'file' : 'link')}
    <div class="item-text">
      <bdi title=${name}>${name}</bdi>
      <small>${details.filter((fact) => fact !== '').join(' · ')}</small>
    </div>
    ${
      item.hasContent
        ? html`<button
            type="button"
            class="quiet"
            aria-label=${`Download ${name}`}
            title=${`Download ${isolated(item.name)}`}
            @click=${() => void core.download(item)}
          >
            ${icon('download')}
          </button>`
        : nothing
    }
    <button
      type="button"
      class="quiet"
      aria-label=${`Remove ${name}`}
      title=${`Remove ${isolated(item.name)}`}
      ?disabled=${core.documentChange.isBusy}
      @click=${() => {
        core.setPendingRemoval(item)
      }}
    >
      ${icon('close')}
    </button>
  </li>`
}

/** Renders the confirmation dialog. The caller opens it, because rendering must not open a dialog again. */
export function removalDialog({ core }: PageContext): TemplateResult {
  const { pendingRemoval } = core
  return html`<dialog
    aria-labelledby="removal"
    @cancel=${(event: Event) => {
      event.preventDefault()
      core.setPendingRemoval(null)
    }}
    @close=${({ currentTarget }: Event) => {
      // The event comes late: the dialog may be open again.
      if (currentTarget instanceof HTMLDialogElement && !currentTarget.open) core.setPendingRemoval(null)
    }}
  >
    <form
      method="dialog"
      @submit=${(event: SubmitEvent) => {
        event.preventDefault()
        void core.remove()
      }}
    >
      <h2 id="removal">Remove <bdi>${displayName(pendingRemoval?.name ?? '')}</bdi>?</h2>
      <p>
        ${
          pendingRemoval?.provider == null
            ? 'The file will be deleted permanently.'
            : 'It will be removed from this list. The file stays in your cloud.'
        }
      </p>
      <div class="buttons">
        <button
          type="button"
          @click=${() => {
            core.setPendingRemoval(null)
          }}
        >
          Cancel
        </button>
        <button type="submit" class="main-action">Remove</button>
      </div>
    </form>
  </dialog>`
}

/** Renders pending transfers. Finished ones are announced and appear in the list. */
export function transfersView(context: PageContext): unknown {
  const items = context.core.transfers.items.filter(({ isFinished }) => !isFinished)
  if (items.length === 0) return nothing
  return html`<ul class="list transfers" aria-label="Transfers">
    ${items.map((item) => transferView(item, context))}
  </ul>`
}

function transferView(item: Transfer, context: PageContext): TemplateResult {
  const name = displayName(item.name)
  const isFailed = item.task.problem !== null
  const label = (name: string): string => (isFailed ? `Remove ${name} from the list` : `Cancel ${name}`)
  return html`<li>
    ${icon(item.direction)}
    <div class="item-text">
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
  if (problem !== null) return html`<small role="alert" class="wrong">${problemText(problem, t)}</small>`
  if (!task.isBusy) return html`<small>Waiting</small>`
  const maximum = total === null ? nothing : total
  return html`<progress
      aria-label=${displayName(name)}
      max=${maximum}
      value=${total === null ? nothing : Math.min(done, total)}
    ></progress>
    <small>${total === null ? format.size(done) : `${format.size(done)} / ${format.size(total)}`}</small>`
}
