import type { Entry } from '../../../src/core/entry.ts'
import type { Clock } from '../clock.ts'
import { ConnectFlow } from './connect.ts'
import { Courier } from './transfers.ts'
import { type EntryFilter, folderBehind, folded, isSelectable } from './selection.ts'
import { FolderBrowser } from './folder.ts'
import type { ConnectionView, PickerApi, ProviderView } from '../api.ts'
import type { Windows } from '../popup.ts'
import type { PickerProblem } from '../problem.ts'
import { Selection } from './selection.ts'
import { Shelf } from './connections.ts'
import { Task, type TaskOptions } from './task.ts'

export interface CorePorts {
  readonly api: () => PickerApi
  readonly clock: Clock
  readonly windows: Windows
  readonly limit: () => number
  readonly returnTo: () => string | undefined
  readonly onChange: () => void
  readonly onSelect: () => void
  readonly onProblem: (problem: PickerProblem) => void
}

/** Error codes after which the status of the connection may have changed. */
const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'CONNECTION_INACTIVE',
  'CONNECTION_MISSING',
  'CONNECTION_NOT_FOUND',
  'CREDENTIALS_UNREADABLE'
])

/** State and behaviour of the picker, without the DOM. */
export class PickerCore {
  readonly shelf: Shelf
  readonly browser: FolderBrowser
  readonly selection: Selection
  readonly courier: Courier
  readonly connecting: ConnectFlow
  readonly verifying: Task
  filter: EntryFilter = { kind: null, accept: [] }
  /** The search text. It filters the loaded entries. */
  query = ''
  /** The current connection, whether it is active or not. */
  connectionId: string | undefined
  readonly #ports: CorePorts
  readonly #folded = new WeakMap<Entry, string>()

  constructor(ports: CorePorts) {
    const { api, clock, windows, limit, returnTo, onChange, onProblem } = ports
    const options: TaskOptions = { clock, onChange, onProblem, isPatient: true }
    const browsing = {
      ...options,
      onProblem: (problem: PickerProblem): void => {
        onProblem(problem)
        if (CONNECTION_CODES.has(problem.code)) void this.#lookAgain()
      }
    }
    this.#ports = ports
    this.shelf = new Shelf(api, options)
    this.browser = new FolderBrowser(api, limit, browsing)
    this.selection = new Selection(() => {
      ports.onSelect()
      onChange()
    })
    this.courier = new Courier(api, this.browser, options)
    this.verifying = new Task({ ...options, isPatient: false })
    this.connecting = new ConnectFlow({
      api,
      clock,
      windows,
      returnTo,
      onChange,
      onProblem,
      connections: () => this.shelf.connections,
      onConnected: (connection) => {
        this.#resume(connection)
      }
    })
  }

  /** Whether the folder is displayed: its connection is active, and no connection form is open. */
  get isShown(): boolean {
    return this.browser.pages !== null && this.connecting.provider === null && this.connection?.status === 'ACTIVE'
  }

  /** Returns whether the current folder supports an operation. */
  can(ability: 'upload' | 'createFolder'): boolean {
    return this.isShown && (this.provider?.capabilities[ability] ?? 'unsupported') !== 'unsupported'
  }

  get provider(): ProviderView | undefined {
    return this.shelf.providerOf(this.connection?.provider)
  }

  get connection(): ConnectionView | undefined {
    return this.shelf.connectionOf(this.connectionId)
  }

  /** The displayed entries: those that match the search. */
  get rows(): readonly Entry[] {
    const entries = this.browser.pages?.entries ?? []
    const wanted = folded(this.query.trim())
    return wanted === '' ? entries : entries.filter((entry) => this.#nameOf(entry).includes(wanted))
  }

  get selectable(): readonly Entry[] {
    return this.rows.filter((entry) => isSelectable(entry, this.filter))
  }

  /** @param place where to start; the picker chooses the parts that are `null` */
  async begin(place: { provider: string | null; connection: string | null; folder: string | null }): Promise<void> {
    await this.shelf.load(() => {
      const connection = this.shelf.choose(place.provider, place.connection)
      if (connection === undefined) this.leave()
      else this.visit(connection, place.folder)
    })
  }

  /** Opens a folder of a connection. If the connection is not active, shows how to repair it. */
  visit(connection: ConnectionView, folderId: string | null = null): void {
    this.connecting.end()
    this.connectionId = connection.id
    this.clear()
    const place = { provider: connection.provider, connectionId: connection.id, folderId }
    if (connection.status === 'ACTIVE') void this.browser.open(place, connection.label)
    else this.browser.aim(place, connection.label)
  }

  /** Opens a subfolder of the current folder. */
  async enter(entry: Entry): Promise<void> {
    if (folderBehind(entry) === null) return
    this.clear()
    await this.browser.enter(entry)
  }

  /** Goes back to a step of the trail, by its index. */
  async climb(index: number): Promise<void> {
    this.clear()
    await this.browser.climb(index)
  }

  leave(): void {
    this.connectionId = undefined
    this.clear()
    this.browser.close()
  }

  /** Clears the state of the folder that is being left. */
  clear(): void {
    this.query = ''
    this.courier.make(false)
    this.verifying.stop()
    this.selection.keep(() => false)
  }

  setFilter(filter: EntryFilter, isMultiple: boolean): void {
    this.filter = filter
    this.selection.isMultiple = isMultiple
    const { entries } = this.selection
    this.selection.keep((entry) => isSelectable(entry, filter) && (isMultiple || entry === entries[0]))
  }

  /** Retries failed loads when the network is back. */
  online(): void {
    for (const task of [this.shelf.task, this.browser.loading, this.browser.paging]) {
      if (task.problem?.code === 'NETWORK') void task.retry()
    }
  }

  async verify(connection: ConnectionView): Promise<void> {
    await this.verifying.run(async (signal) => {
      const verified = await this.#ports.api().verify(connection.id, signal)
      signal.throwIfAborted()
      this.#resume(verified)
    })
  }

  /** Stops all requests and timers. */
  stop(): void {
    this.connecting.end()
    this.courier.stop()
    for (const task of [this.shelf.task, this.browser.loading, this.browser.paging, this.verifying]) task.stop()
  }

  /** Reloads the current folder if its connection was repaired. Otherwise opens the root of the new connection. */
  #resume(connection: ConnectionView): void {
    this.shelf.put(connection)
    const { place } = this.browser
    if (place?.connectionId === connection.id && connection.status === 'ACTIVE') {
      this.connectionId = connection.id
      void this.browser.reload()
    } else {
      this.visit(connection)
    }
  }

  async #lookAgain(): Promise<void> {
    try {
      this.shelf.take(await this.#ports.api().connections(new AbortController().signal))
    } catch {
      // The original problem is already displayed.
    }
  }

  #nameOf(entry: Entry): string {
    const name = this.#folded.get(entry) ?? folded(entry.name)
    this.#folded.set(entry, name)
    return name
  }
}
