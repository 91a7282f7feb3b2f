import { html, nothing, type TemplateResult } from 'lit'
import { displayName } from '../state/selection.ts'
import { problemText } from '../strings.ts'
import { icon } from './icons.ts'
import type { ViewContext } from './context.ts'

/** Renders the path and the actions of the current folder. */
export function toolbarView(context: ViewContext): TemplateResult {
  const { core, t, actions, isReadonly } = context
  const { browser } = core
  const isBroken = core.connection?.status !== 'ACTIVE'
  return html`<div class="bar" part="toolbar">
    ${breadcrumbsView(context)}
    <input
      type="search"
      part="search"
      aria-label=${t('search')}
      placeholder=${t('search')}
      .value=${core.query}
      ?disabled=${!core.isShown}
      @input=${({ target }: InputEvent) => {
        if (target instanceof HTMLInputElement) actions.search(target.value)
      }}
    />
    ${iconButton('refresh', t('refresh'), browser.folder === null || isBroken || browser.loading.isBusy, actions.refresh)}
    ${
      !isReadonly && core.can('createFolder')
        ? html`<button
            type="button"
            part="button"
            aria-expanded=${core.transferQueue.isNewFolderOpen}
            @click=${() => {
              actions.toggleNewFolder(!core.transferQueue.isNewFolderOpen)
            }}
          >
            ${icon('add')}<span>${t('newFolder')}</span>
          </button>`
        : nothing
    }
    ${
      !isReadonly && core.can('upload')
        ? html`<button type="button" part="button" @click=${actions.chooseFiles}>
            ${icon('upload')}<span>${t('upload')}</span>
          </button>`
        : nothing
    }
  </div>`
}

function breadcrumbsView({ core, t, actions }: ViewContext): TemplateResult {
  const { breadcrumbs } = core.browser
  return html`<nav class="crumbs" part="breadcrumbs" aria-label=${t('breadcrumbs')}>
    <ol>
      ${breadcrumbs.map(
        ({ name }, index) =>
          html`<li>
            <button
              type="button"
              class="quiet"
              aria-current=${index === breadcrumbs.length - 1 ? 'page' : nothing}
              @click=${() => {
                actions.openAncestor(index)
              }}
            >
              <bdi>${name === null ? t('unnamedFolder') : displayName(name)}</bdi>
            </button>
          </li>`
      )}
    </ol>
  </nav>`
}

function iconButton(name: 'refresh', label: string, isDisabled: boolean, onClick: () => void): TemplateResult {
  return html`<button
    type="button"
    class="quiet"
    part="button"
    aria-label=${label}
    title=${label}
    ?disabled=${isDisabled}
    @click=${onClick}
  >
    ${icon(name)}
  </button>`
}

/** Renders the form for the name of a new folder. */
export function newFolderView({ core, t, actions }: ViewContext): TemplateResult {
  const { problem, isBusy } = core.transferQueue.folderCreation
  return html`<form
    class="bar"
    novalidate
    @submit=${(event: SubmitEvent) => {
      event.preventDefault()
      const input = (event.currentTarget as HTMLFormElement).elements.namedItem('folder')
      if (input instanceof HTMLInputElement && input.value.trim() !== '') actions.createFolder(input.value)
    }}
    @keydown=${(event: KeyboardEvent) => {
      if (event.key === 'Escape') actions.toggleNewFolder(false)
    }}
  >
    <label for="folder">${t('folderName')}</label>
    <input
      id="folder"
      name="folder"
      maxlength="255"
      autocomplete="off"
      aria-invalid=${problem !== null}
      aria-describedby="folder-problem"
    />
    <button type="submit" class="main-action" ?disabled=${isBusy}>${t('create')}</button>
    <button
      type="button"
      @click=${() => {
        actions.toggleNewFolder(false)
      }}
    >
      ${t('cancel')}
    </button>
    <span id="folder-problem" class="wrong" role="alert">${problem === null ? nothing : problemText(problem, t)}</span>
  </form>`
}
