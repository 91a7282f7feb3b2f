import { html, nothing, type TemplateResult } from 'lit'
import { isolated } from '../state/selection.ts'
import { problemText, type Translate } from '../strings.ts'
import { button, panel } from './panels.ts'
import type { FieldError, Field, FormValues } from './form.ts'
import type { ViewContext } from './context.ts'

/** Renders the form, or the instructions while a login window is open. */
export function connectPanel(context: ViewContext): TemplateResult {
  const { core, t } = context
  const { provider, existing, method, login } = core.connectFlow
  const title =
    existing === null
      ? t('connectTitle', { provider: provider?.label ?? '' })
      : t('reconnectTitle', { connection: isolated(existing.label) })
  return panel(html`
    <h2 id="connect-title">${title}</h2>
    ${login !== null ? loginView(context) : method === 'oauth' ? oauthView(context) : formView(context)}
  `)
}

function loginView({ core, t }: ViewContext): TemplateResult {
  const { connectFlow } = core
  const { login } = connectFlow
  const url = login?.url ?? null
  return html`
    <p role="status">${t(login?.isClosed === true ? 'windowGone' : url === null ? 'windowOpen' : 'windowBlocked')}</p>
    <div class="buttons">
      ${
        url === null
          ? nothing
          : html`<a class="link main-action" href=${url} target="_blank" rel="noopener noreferrer"
              >${t('openWindow')}</a
            >`
      }
      ${button(t('again'), () => void connectFlow.submit(connectFlow.values))}
      ${button(t('cancel'), () => {
        connectFlow.end()
      })}
    </div>
  `
}

/** Renders the state after an OAuth attempt has ended without a connection. */
function oauthView(context: ViewContext): TemplateResult {
  const { connectFlow } = context.core
  return html`${failureMessage(context)}
    <div class="buttons">
      ${button(context.t('again'), () => void connectFlow.submit({}), true)}
      ${button(context.t('cancel'), () => {
        connectFlow.end()
      })}
    </div>`
}

function failureMessage({ core, t, format }: ViewContext): unknown {
  const { state } = core.connectFlow.task
  // A complaint about one field is rendered next to that field.
  if (state.type !== 'failed' || Object.keys(core.connectFlow.fieldErrors).length > 0) return nothing
  const { problem, secondsLeft } = state
  return html`<p role="alert" class="wrong">${problemText(problem, t)}</p>
    ${
      secondsLeft === null ? nothing : html`<p role="timer">${t('waitFor', { time: format.duration(secondsLeft) })}</p>`
    }`
}

function formView(context: ViewContext): TemplateResult {
  const { core, t, actions } = context
  const { connectFlow } = core
  const { provider, method, fields, values, fieldErrors, task } = connectFlow
  const otherMethod = method === 'login' ? 'fields' : 'login'
  const named = { provider: provider?.label ?? '' }
  const isSubmitDisabled = task.isBusy || (task.state.type === 'failed' && task.state.secondsLeft !== null)
  return html`<form
    class="panel"
    part="form"
    novalidate
    aria-labelledby="connect-title"
    @submit=${(event: SubmitEvent) => {
      event.preventDefault()
      actions.submit(readForm(event.currentTarget as HTMLFormElement, fields))
    }}
  >
    ${fields.map((field) => fieldView(field, values[field.name], fieldErrors[field.name], t))}
    ${failureMessage(context)} ${task.isBusy ? html`<p role="status">${t('connecting')}</p>` : nothing}
    <div class="buttons">
      <button type="submit" class="main-action" part="button" ?disabled=${isSubmitDisabled}>
        ${t(method === 'login' ? 'loginHere' : 'submit', named)}
      </button>
      ${
        provider?.connect.type === 'login-flow'
          ? button(t(method === 'login' ? 'useFields' : 'useLogin', named), () => {
              connectFlow.selectMethod(otherMethod)
            })
          : nothing
      }
      ${button(t('cancel'), () => {
        connectFlow.end()
      })}
    </div>
  </form>`
}

function readForm(form: HTMLFormElement, fields: readonly Field[]): FormValues {
  return Object.fromEntries(
    fields.map(({ name }): [string, string | boolean] => {
      const control = form.elements.namedItem(name)
      if (control instanceof HTMLInputElement && control.type === 'checkbox') return [name, control.checked]
      const isText = control instanceof HTMLInputElement || control instanceof HTMLSelectElement
      return [name, isText ? control.value : '']
    })
  )
}

function fieldView(
  field: Field,
  value: string | boolean | undefined,
  error: FieldError | undefined,
  t: Translate
): TemplateResult {
  const { name, title, description, input, isRequired } = field
  const id = `field-${name}`
  const label = html`<label for=${id}
    >${title} ${isRequired ? nothing : html`<span class="hint">${t('optional')}</span>`}</label
  >`
  const checkboxLabel = html`<label for=${id}>${title}</label>`
  return html`<div class="field ${input === 'checkbox' ? 'tick' : ''}">
    ${input === 'checkbox' ? html`${control(field, id, value, error)}${checkboxLabel}` : html`${label}${control(field, id, value, error)}`}
    <span class="hint" id="${id}-hint">${description ?? nothing}</span>
    <span class="wrong" id="${id}-wrong">${error === undefined ? nothing : fieldErrorText(error, title, t)}</span>
  </div>`
}

function control(
  { name, input, choices, isRequired }: Field,
  id: string,
  value: string | boolean | undefined,
  error: FieldError | undefined
): TemplateResult {
  const describedBy = `${id}-hint ${id}-wrong`
  const isWrong = error !== undefined
  if (input === 'select') {
    return html`<select id=${id} name=${name} aria-describedby=${describedBy} aria-invalid=${isWrong}>
      ${['', ...choices].map((choice) => html`<option value=${choice} ?selected=${choice === value}>${choice}</option>`)}
    </select>`
  }
  return html`<input
    id=${id}
    name=${name}
    type=${input}
    autocomplete="off"
    spellcheck="false"
    .checked=${value === true}
    .value=${input === 'checkbox' ? 'on' : String(value ?? '')}
    aria-required=${input === 'checkbox' ? nothing : isRequired}
    aria-describedby=${describedBy}
    aria-invalid=${isWrong}
  />`
}

function fieldErrorText(error: FieldError, title: string, t: Translate): string {
  return 'text' in error ? error.text : t(error.key, { ...error, title })
}
