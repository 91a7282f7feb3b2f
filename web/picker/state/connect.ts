import { type Clock, pause } from '../clock.ts'
import type { ConnectionView, PickerApi, ProviderView } from '../api.ts'
import { isWebAddress, type Landing, landingFor, type Popup, type Windows } from '../popup.ts'
import { PickerProblem } from '../problem.ts'
import { bodyOf, type Complaints, complaintsFrom, complaintsOf, defaultsOf, fieldsOf } from '../view/form.ts'
import type { Field, FormValues } from '../view/form.ts'
import { Task, type TaskOptions } from './task.ts'

export interface ConnectPorts extends Omit<TaskOptions, 'isPatient'> {
  readonly api: () => PickerApi
  readonly windows: Windows
  readonly returnTo: () => string | undefined
  readonly connections: () => readonly ConnectionView[]
  /** Called once, when the connection has been made. */
  readonly onConnected: (connection: ConnectionView) => void
}

/** How the user connects: an OAuth window, a login window of a server that the user enters, or form fields. */
export type Way = 'oauth' | 'login' | 'fields'

const POLL_MS = 2000
/** Equals the lifetime of a login flow on the server. */
const MAX_LOGIN_MS = 10 * 60_000
/** The only field that a login at a server needs. */
const LOGIN_FIELD = 'baseUrl'

/** One attempt to create a connection or to reconnect an existing one. */
export class ConnectFlow {
  provider: ProviderView | null = null
  /** The connection to reconnect, or `null` for a new one. */
  renewed: ConnectionView | null = null
  way: Way = 'fields'
  values: FormValues = {}
  complaints: Complaints = {}
  /** Set while a login runs in another window. `url` is shown as a link if the browser blocked the window. */
  login: { readonly url: string | null; readonly isGone: boolean } | null = null
  readonly task: Task
  readonly #ports: ConnectPorts
  readonly #clock: Clock
  #popup: Popup | null = null

  constructor(ports: ConnectPorts) {
    this.#ports = ports
    this.#clock = ports.clock
    this.task = new Task({ ...ports, isPatient: false })
  }

  get fields(): readonly Field[] {
    const connect = this.provider?.connect
    if (connect === undefined || connect.type === 'oauth2' || this.way === 'oauth') return []
    const fields = fieldsOf(connect.schema)
    return this.way === 'login' ? fields.filter(({ name }) => name === LOGIN_FIELD) : fields
  }

  /** Must be called from a click handler: OAuth opens its window at once. */
  begin(provider: ProviderView, renewed: ConnectionView | null): void {
    this.end()
    this.provider = provider
    this.renewed = renewed
    const { type } = provider.connect
    this.choose(type === 'oauth2' ? 'oauth' : type === 'login-flow' ? 'login' : 'fields')
    if (this.way === 'oauth') void this.submit({})
  }

  choose(way: Way): void {
    this.task.stop()
    this.way = way
    this.values = { ...defaultsOf(this.fields), ...this.values }
    this.complaints = {}
    this.#ports.onChange()
  }

  end(): void {
    this.task.stop()
    this.#closeWindow()
    this.provider = null
    this.renewed = null
    this.values = {}
    this.complaints = {}
    this.#ports.onChange()
  }

  /** Must be called from a click handler. Resolves when the attempt has succeeded or failed. */
  async submit(values: FormValues): Promise<void> {
    const { provider, way } = this
    if (provider === null) return
    this.#closeWindow()
    this.values = values
    this.complaints = complaintsOf(this.fields, values)
    this.#ports.onChange()
    if (Object.keys(this.complaints).length > 0) return
    if (way !== 'fields') this.#openWindow()
    let made: ConnectionView | undefined
    await this.task.run(async (signal) => {
      if (way === 'oauth') made = await this.#authorize(provider.id, signal)
      else if (way === 'login') made = await this.#logIn(provider.id, String(values[LOGIN_FIELD]), signal)
      else made = await this.#ports.api().connect(provider.id, bodyOf(this.fields, values), signal)
      signal.throwIfAborted()
    })
    const { problem } = this.task
    if (problem !== null) {
      this.#closeWindow()
      this.complaints = complaintsFrom(problem, this.fields)
      this.#ports.onChange()
    } else if (made !== undefined && this.task.state.type === 'idle') {
      this.end()
      this.#ports.onConnected(made)
    }
  }

  #openWindow(): void {
    this.#popup = this.#ports.windows.open()
    this.login = { url: null, isGone: false }
  }

  #closeWindow(): void {
    this.#popup?.close()
    this.#popup = null
    this.login = null
  }

  #lead(url: string): void {
    if (!isWebAddress(url)) throw new PickerProblem('BAD_ANSWER')
    this.#popup?.go(url)
    this.login = { url: this.#popup === null ? url : null, isGone: false }
    this.#ports.onChange()
  }

  async #authorize(provider: string, signal: AbortSignal): Promise<ConnectionView> {
    const { api, windows, returnTo, connections } = this.#ports
    const before = connections()
    const flow = windows.newFlowId()
    const place = returnTo()
    let landed: Landing | undefined
    const wake = new AbortController()
    const deaf = windows.listen(flow, (landing) => {
      landed = landing
      wake.abort()
    })
    try {
      this.#lead(await api().authorize(provider, place === undefined ? undefined : landingFor(place, flow), signal))
      return await this.#watch(signal, async () => {
        const interrupted = landed === undefined ? AbortSignal.any([signal, wake.signal]) : signal
        await pause(this.#clock, POLL_MS, interrupted).catch(() => undefined)
        signal.throwIfAborted()
        if (landed?.error != null) throw new PickerProblem(landed.error)
        const now = await api().connections(signal)
        const own = now.filter((each) => each.provider === provider)
        const works = own.find(({ id, status }) => {
          const known = before.find((each) => each.id === id)
          return status === 'ACTIVE' && known?.status !== 'ACTIVE'
        })
        // Reconnecting a connection that works changes no status; use the reconnected or the first connection.
        return works ?? (landed === undefined ? undefined : (own.find(({ id }) => id === this.renewed?.id) ?? own[0]))
      })
    } finally {
      deaf()
    }
  }

  async #logIn(provider: string, baseUrl: string, signal: AbortSignal): Promise<ConnectionView> {
    const { loginUrl, flowId } = await this.#ports.api().beginLogin(provider, baseUrl, signal)
    this.#lead(loginUrl)
    let waitMs = POLL_MS
    return await this.#watch(signal, async () => {
      await pause(this.#clock, waitMs, signal)
      const answer = await this.#ports.api().pollLogin(provider, flowId, signal)
      if (!('retryAfterMs' in answer)) return answer
      waitMs = answer.retryAfterMs
      return undefined
    })
  }

  /** Polls until the connection exists. Tolerates temporary errors, because the user is busy on another page. */
  async #watch(signal: AbortSignal, ask: () => Promise<ConnectionView | undefined>): Promise<ConnectionView> {
    const until = this.#clock.now() + MAX_LOGIN_MS
    while (this.#clock.now() < until) {
      try {
        const made = await ask()
        if (made !== undefined) return made
      } catch (error) {
        signal.throwIfAborted()
        const passes = !(error instanceof PickerProblem) || error.code === 'NETWORK' || error.retryAfterMs !== null
        if (!passes) throw error
        await pause(this.#clock, error instanceof PickerProblem ? (error.retryAfterMs ?? POLL_MS) : POLL_MS, signal)
      }
      if (this.login?.isGone === false && this.#popup?.isClosed === true) {
        this.login = { ...this.login, isGone: true }
        this.#ports.onChange()
      }
    }
    throw new PickerProblem('LOGIN_EXPIRED')
  }
}
