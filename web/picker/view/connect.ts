import { html, nothing, type TemplateResult } from 'lit'
import { isolated } from '../state/selection.ts'
import { sayProblem } from '../strings.ts'
import { button, panel } from './panels.ts'
import type { Complaint, Field, FormValues } from './form.ts'
import type { Translate } from '../strings.ts'
import type { ViewContext } from './context.ts'

/** Renders the form, or the instructions while a login window is open. */
export function connectPanel(context: ViewContext): TemplateResult {
  const { core, t } = context
  const { provider, renewed, way, login } = core.connecting
  const title =
    renewed === null
      ? t('connectTitle', { provider: provider?.label ?? '' })
      : t('reconnectTitle', { connection: isolated(renewed.label) })
  return panel(html`
    <h2 id="connect-title">${title}</h2>
    ${login !== null ? loginView(context) : way === 'oauth' ? oauthView(context) : formView(context)}
  `)
}

function loginView({ core, t }: ViewContext): TemplateResult {
  const { connecting } = core
  const { login } = connecting
  const url = login?.url ?? null
  return html`
    <p role="status">${t(login?.isGone === true ? 'windowGone' : url === null ? 'windowOpen' : 'windowBlocked')}</p>
    <div class="buttons">
      ${
        url === null
          ? nothing
          : html`<a class="link main-action" href=${url} target="_blank" rel="noopener noreferrer"
              >${t('openWindow')}</a
            >`
      }
      ${button(t('again'), () => void connecting.submit(connecting.values))}
      ${button(t('cancel'), () => {
        connecting.end()
      })}
    </div>
  `
}

/** Renders the state after an OAuth attempt has ended without a connection. */
function oauthView(context: ViewContext): TemplateResult {
  const { connecting } = context.core
  return html`${failure(context)}
    <div class="buttons">
      ${button(context.t('again'), () => void connecting.submit({}), true)}
      ${button(context.t('cancel'), () => {
        connecting.end()
      })}
    </div>`
}

function failure({ core, t, format }: ViewContext): unknown {
  const { state } = core.connecting.task
  // A complaint about one field is rendered next to that field.
  if (state.type !== 'failed' || Object.keys(core.connecting.complaints).length > 0) return nothing
  const { problem, secondsLeft } = state
  return html`<p role="alert" class="wrong">${sayProblem(problem, t)}</p>
    ${
      secondsLeft === null ? nothing : html`<p role="timer">${t('waitFor', { time: format.duration(secondsLeft) })}</p>`
    }`
}

function formView(context: ViewContext): TemplateResult {
  const { core, t, act } = context
  const { connecting } = core
  const { provider, way, fields, values, complaints, task } = connecting
  const other = way === 'login' ? 'fields' : 'login'
  const named = { provider: provider?.label ?? '' }
  const isHeldBack = task.isBusy || (task.state.type === 'failed' && task.state.secondsLeft !== null)
  return html`<form
    class="panel"
    part="form"
    novalidate
    aria-labelledby="connect-title"
    @submit=${(event: SubmitEvent) => {
      event.preventDefault()
      act.submit(read(event.currentTarget as HTMLFormElement, fields))
    }}
  >
    ${fields.map((field) => fieldView(field, values[field.name], complaints[field.name], t))} ${failure(context)}
    ${task.isBusy ? html`<p role="status">${t('connecting')}</p>` : nothing}
    <div class="buttons">
      <button type="submit" class="main-action" part="button" ?disabled=${isHeldBack}>
        ${t(way === 'login' ? 'loginHere' : 'submit', named)}
      </button>
      ${
        provider?.connect.type === 'login-flow'
          ? button(t(way === 'login' ? 'useFields' : 'useLogin', named), () => {
              connecting.choose(other)
            })
          : nothing
      }
      ${button(t('cancel'), () => {
        connecting.end()
      })}
    </div>
  </form>`
}

function read(form: HTMLFormElement, fields: readonly Field[]): FormValues {
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
  complaint: Complaint | undefined,
  t: Translate
): TemplateResult {
  const { name, title, description, input, isRequired } = field
  const id = `field-${name}`
  const label = html`<label for=${id}
    >${title} ${isRequired ? nothing : html`<span class="hint">${t('optional')}</span>`}</label
  >`
  const tick = html`<label for=${id}>${title}</label>`
  return html`<div class="field ${input === 'checkbox' ? 'tick' : ''}">
    ${input === 'checkbox' ? html`${control(field, id, value, complaint)}${tick}` : html`${label}${control(field, id, value, complaint)}`}
    <span class="hint" id="${id}-hint">${description ?? nothing}</span>
    <span class="wrong" id="${id}-wrong">${complaint === undefined ? nothing : sayComplaint(complaint, title, t)}</span>
  </div>`
}

function control(
  { name, input, choices, isRequired }: Field,
  id: string,
  value: string | boolean | undefined,
  complaint: Complaint | undefined
): TemplateResult {
  const described = `${id}-hint ${id}-wrong`
  const isWrong = complaint !== undefined
  if (input === 'select') {
    return html`<select id=${id} name=${name} aria-describedby=${described} aria-invalid=${isWrong}>
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
    aria-describedby=${described}
    aria-invalid=${isWrong}
  />`
}

function sayComplaint(complaint: Complaint, title: string, t: Translate): string {
  return 'text' in complaint ? complaint.text : t(complaint.key, { ...complaint, title })
}
