import { type Clock, pause } from '../clock.ts'
import type { ConnectionView, PickerApi, ProviderView } from '../api.ts'
import { isHttpUrl, type Landing, landingUrl, type Popup, type Windows } from '../popup.ts'
import { PickerProblem } from '../problem.ts'
import {
  bodyOf,
  type FieldErrors,
  fieldErrorsFrom,
  validateFields,
  defaultsOf,
  fieldsOf,
  type Field,
  type FormValues
} from '../view/form.ts'
import { Task, type TaskOptions } from './task.ts'

export interface ConnectPorts extends Omit<TaskOptions, 'autoRetry'> {
  readonly api: () => PickerApi
  readonly windows: Windows
  readonly returnTo: () => string | undefined
  readonly connections: () => readonly ConnectionView[]
  /** Called once, when the connection has been made. */
  readonly onConnected: (connection: ConnectionView) => void
}

/** How the user connects: an OAuth window, a login window of a server that the user enters, or form fields. */
export type ConnectMethod = 'oauth' | 'login' | 'fields'

const POLL_MS = 2000
/** Equals the lifetime of a login flow on the server. */
const MAX_LOGIN_MS = 10 * 60_000
/** The only field that a login at a server needs. */
const LOGIN_FIELD = 'baseUrl'

/** One attempt to create a connection or to reconnect an existing one. */
export class ConnectFlow {
  provider: ProviderView | null = null
  /** The connection to reconnect, or `null` for a new one. */
  existing: ConnectionView | null = null
  method: ConnectMethod = 'fields'
  values: FormValues = {}
  fieldErrors: FieldErrors = {}
  /** Set while a login runs in another window. `url` is shown as a link if the browser blocked the window. */
  login: { readonly url: string | null; readonly isClosed: boolean } | null = null
  readonly task: Task
  readonly #ports: ConnectPorts
  readonly #clock: Clock
  #popup: Popup | null = null

  constructor(ports: ConnectPorts) {
    this.#ports = ports
    this.#clock = ports.clock
    this.task = new Task({ ...ports, autoRetry: false })
  }

  get fields(): readonly Field[] {
    const connect = this.provider?.connect
    if (connect === undefined || connect.type === 'oauth2' || this.method === 'oauth') return []
    const fields = fieldsOf(connect.schema)
    return this.method === 'login' ? fields.filter(({ name }) => name === LOGIN_FIELD) : fields
  }

  /** Must be called from a click handler: OAuth opens its window at once. */
  start(provider: ProviderView, existing: ConnectionView | null): void {
    this.end()
    this.provider = provider
    this.existing = existing
    const { type } = provider.connect
    this.selectMethod(type === 'oauth2' ? 'oauth' : type === 'login-flow' ? 'login' : 'fields')
    if (this.method === 'oauth') void this.submit({})
  }

  selectMethod(method: ConnectMethod): void {
    this.task.stop()
    this.method = method
    this.values = { ...defaultsOf(this.fields), ...this.values }
    this.fieldErrors = {}
    this.#ports.onChange()
  }

  end(): void {
    this.task.stop()
    this.#closeWindow()
    this.provider = null
    this.existing = null
    this.values = {}
    this.fieldErrors = {}
    this.#ports.onChange()
  }

  /** Must be called from a click handler. Resolves when the attempt has succeeded or failed. */
  async submit(values: FormValues): Promise<void> {
    const { provider, method } = this
    if (provider === null) return
    this.#closeWindow()
    this.values = values
    this.fieldErrors = validateFields(this.fields, values)
    this.#ports.onChange()
    if (Object.keys(this.fieldErrors).length > 0) return
    if (method !== 'fields') this.#openWindow()
    let created: ConnectionView | undefined
    await this.task.run(async (signal) => {
      if (method === 'oauth') created = await this.#authorize(provider.id, signal)
      else if (method === 'login') created = await this.#logIn(provider.id, String(values[LOGIN_FIELD]), signal)
      else created = await this.#ports.api().connect(provider.id, bodyOf(this.fields, values), signal)
      signal.throwIfAborted()
    })
    const { problem } = this.task
    if (problem !== null) {
      this.#closeWindow()
      this.fieldErrors = fieldErrorsFrom(problem, this.fields)
      this.#ports.onChange()
    } else if (created !== undefined && this.task.state.type === 'idle') {
      this.end()
      this.#ports.onConnected(created)
    }
  }

  #openWindow(): void {
    this.#popup = this.#ports.windows.open()
    this.login = { url: null, isClosed: false }
  }

  #closeWindow(): void {
    this.#popup?.close()
    this.#popup = null
    this.login = null
  }

  #navigatePopup(url: string): void {
    if (!isHttpUrl(url)) throw new PickerProblem('BAD_ANSWER')
    this.#popup?.go(url)
    this.login = { url: this.#popup === null ? url : null, isClosed: false }
    this.#ports.onChange()
  }

  async #authorize(provider: string, signal: AbortSignal): Promise<ConnectionView> {
    const { api, windows, returnTo, connections } = this.#ports
    const before = connections()
    const flow = windows.newFlowId()
    const returnUrl = returnTo()
    let landed: Landing | undefined
    const landingSignal = new AbortController()
    const stopListening = windows.listen(flow, (landing) => {
      landed = landing
      landingSignal.abort()
    })
    try {
      this.#navigatePopup(
        await api().authorize(provider, returnUrl === undefined ? undefined : landingUrl(returnUrl, flow), signal)
      )
      return await this.#poll(signal, async () => {
        const pauseSignal = landed === undefined ? AbortSignal.any([signal, landingSignal.signal]) : signal
        await pause(this.#clock, POLL_MS, pauseSignal).catch(() => undefined)
        signal.throwIfAborted()
        if (landed?.error != null) throw new PickerProblem(landed.error)
        const now = await api().connections(signal)
        const own = now.filter((each) => each.provider === provider)
        const repaired = own.find(({ id, status }) => {
          const known = before.find((each) => each.id === id)
          return status === 'ACTIVE' && known?.status !== 'ACTIVE'
        })
        // Reconnecting a connection that works changes no status; use the reconnected or the first connection.
        return (
          repaired ?? (landed === undefined ? undefined : (own.find(({ id }) => id === this.existing?.id) ?? own[0]))
        )
      })
    } finally {
      stopListening()
    }
  }

  async #logIn(provider: string, baseUrl: string, signal: AbortSignal): Promise<ConnectionView> {
    const { loginUrl, flowId } = await this.#ports.api().beginLogin(provider, baseUrl, signal)
    this.#navigatePopup(loginUrl)
    let waitMs = POLL_MS
    return await this.#poll(signal, async () => {
      await pause(this.#clock, waitMs, signal)
      const response = await this.#ports.api().pollLogin(provider, flowId, signal)
      if (!('retryAfterMs' in response)) return response
      waitMs = response.retryAfterMs
      return undefined
    })
  }

  /** Polls until the connection exists. Tolerates temporary errors, because the user is busy on another page. */
  async #poll(signal: AbortSignal, attempt: () => Promise<ConnectionView | undefined>): Promise<ConnectionView> {
    const until = this.#clock.now() + MAX_LOGIN_MS
    while (this.#clock.now() < until) {
      try {
        const connection = await attempt()
        if (connection !== undefined) return connection
      } catch (error) {
        signal.throwIfAborted()
        const isTemporary = !(error instanceof PickerProblem) || error.code === 'NETWORK' || error.retryAfterMs !== null
        if (!isTemporary) throw error
        await pause(this.#clock, error instanceof PickerProblem ? (error.retryAfterMs ?? POLL_MS) : POLL_MS, signal)
      }
      if (this.login?.isClosed === false && this.#popup?.isClosed === true) {
        this.login = { ...this.login, isClosed: true }
        this.#ports.onChange()
      }
    }
    throw new PickerProblem('LOGIN_EXPIRED')
  }
}
