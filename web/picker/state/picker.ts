import type { Entry } from '../../../src/core/entry.ts'
import type { Clock } from '../clock.ts'
import { ConnectFlow } from './connect.ts'
import { TransferQueue } from './transfers.ts'
import { type EntryFilter, targetFolderId, normalizeForSearch, isSelectable, Selection } from './selection.ts'
import { type EntryChanges, FolderBrowser } from './folder.ts'
import type { ConnectionView, PickerApi, ProviderView } from '../api.ts'
import type { Windows } from '../popup.ts'
import type { PickerProblem } from '../problem.ts'
import { ConnectionList } from './connections.ts'
import { LiveFolder } from './live.ts'
import { Task, type TaskOptions } from './task.ts'

export interface CorePorts {
  readonly api: () => PickerApi
  readonly clock: Clock
  /** Returns a number from 0 to 1. */
  readonly random: () => number
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

/** The shortest time between two announcements of changes. */
const ANNOUNCE_MS = 10_000

/** State and behaviour of the picker, without the DOM. */
export class PickerCore {
  readonly connectionList: ConnectionList
  readonly browser: FolderBrowser
  readonly selection: Selection
  readonly transferQueue: TransferQueue
  readonly connectFlow: ConnectFlow
  readonly verification: Task
  filter: EntryFilter = { kind: null, accept: [] }
  /** The search text. It filters the loaded entries. */
  query = ''
  /** The current connection, whether it is active or not. */
  connectionId: string | undefined
  /** The changes that screen readers are told about. */
  announced: EntryChanges | null = null
  readonly #live: LiveFolder
  #isVisible = false
  #followed: EntryChanges | null = null
  #pendingChanges: EntryChanges | null = null
  #cancelAnnouncement: (() => void) | null = null
  readonly #ports: CorePorts
  readonly #searchNames = new WeakMap<Entry, string>()

  constructor(ports: CorePorts) {
    const { api, clock, random, windows, limit, returnTo, onProblem } = ports
    const onChange = (): void => {
      this.#watch()
      this.#followUpdate()
      ports.onChange()
    }
    const options: TaskOptions = { clock, onChange, onProblem, autoRetry: true }
    const browserOptions = {
      ...options,
      onProblem: (problem: PickerProblem): void => {
        onProblem(problem)
        if (CONNECTION_CODES.has(problem.code)) void this.#reloadConnections()
      }
    }
    this.#ports = ports
    this.connectionList = new ConnectionList(api, options)
    this.browser = new FolderBrowser(api, limit, browserOptions)
    this.selection = new Selection(() => {
      ports.onSelect()
      onChange()
    })
    this.#live = new LiveFolder({ api, clock, random, onChanged: async () => await this.browser.update() })
    this.transferQueue = new TransferQueue(api, this.browser, options)
    this.verification = new Task({ ...options, autoRetry: false })
    this.connectFlow = new ConnectFlow({
      api,
      clock,
      windows,
      returnTo,
      onChange,
      onProblem,
      connections: () => this.connectionList.connections,
      onConnected: (connection) => {
        this.#resume(connection)
      }
    })
  }

  /** Whether the folder is displayed: its connection is active, and no connection form is open. */
  get isShown(): boolean {
    return this.browser.pages !== null && this.connectFlow.provider === null && this.connection?.status === 'ACTIVE'
  }

  /** Returns whether the current folder supports an operation. */
  can(ability: 'upload' | 'createFolder'): boolean {
    return this.isShown && (this.provider?.capabilities[ability] ?? 'unsupported') !== 'unsupported'
  }

  get provider(): ProviderView | undefined {
    return this.connectionList.providerOf(this.connection?.provider)
  }

  get connection(): ConnectionView | undefined {
    return this.connectionList.connectionOf(this.connectionId)
  }

  /** The displayed entries: those that match the search. */
  get rows(): readonly Entry[] {
    const entries = this.browser.pages?.entries ?? []
    const searchText = normalizeForSearch(this.query.trim())
    return searchText === '' ? entries : entries.filter((entry) => this.#searchNameOf(entry).includes(searchText))
  }

  get selectable(): readonly Entry[] {
    return this.rows.filter((entry) => isSelectable(entry, this.filter))
  }

  /** @param initial where to start; the picker chooses the parts that are `null` */
  async start(initial: { provider: string | null; connection: string | null; folder: string | null }): Promise<void> {
    this.#live.reset(true)
    await this.connectionList.load(() => {
      const connection = this.connectionList.chooseInitial(initial.provider, initial.connection)
      if (connection === undefined) this.closeFolder()
      else this.visit(connection, initial.folder)
    })
  }

  /** Opens a folder of a connection. If the connection is not active, shows how to repair it. */
  visit(connection: ConnectionView, folderId: string | null = null): void {
    this.connectFlow.end()
    this.connectionId = connection.id
    this.clearFolderState()
    const folder = { provider: connection.provider, connectionId: connection.id, folderId }
    if (connection.status === 'ACTIVE') void this.browser.open(folder, connection.label)
    else this.browser.setFolder(folder, connection.label)
  }

  /** Opens a subfolder of the current folder. */
  async enter(entry: Entry): Promise<void> {
    if (targetFolderId(entry) === null) return
    this.clearFolderState()
    await this.browser.enter(entry)
  }

  /** Goes back to a step of the trail, by its index. */
  async openAncestor(index: number): Promise<void> {
    this.clearFolderState()
    await this.browser.openAncestor(index)
  }

  /** Reloads the current folder on the user's request. */
  async refresh(): Promise<void> {
    this.#live.reset()
    await this.browser.reload()
  }

  /** Says whether the user can see the picker. Only then the folder is watched. */
  setVisible(isVisible: boolean): void {
    this.#isVisible = isVisible
    this.#watch()
  }

  closeFolder(): void {
    this.connectionId = undefined
    this.clearFolderState()
    this.browser.close()
  }

  /** Clears the state of the folder that is being left. */
  clearFolderState(): void {
    this.query = ''
    this.#clearAnnouncement()
    this.transferQueue.toggleNewFolder(false)
    this.verification.stop()
    this.selection.retain(() => false)
  }

  setFilter(filter: EntryFilter, isMultiple: boolean): void {
    this.filter = filter
    this.selection.isMultiple = isMultiple
    const { entries } = this.selection
    this.selection.retain((entry) => isSelectable(entry, filter) && (isMultiple || entry === entries[0]))
  }

  /** Retries failed loads when the network is back. */
  onOnline(): void {
    for (const task of [this.connectionList.task, this.browser.loading, this.browser.paging]) {
      if (task.problem?.code === 'NETWORK') void task.retry()
    }
  }

  async verify(connection: ConnectionView): Promise<void> {
    await this.verification.run(async (signal) => {
      const verified = await this.#ports.api().verify(connection.id, signal)
      signal.throwIfAborted()
      this.#resume(verified)
    })
  }

  /** Stops all requests and timers. */
  stop(): void {
    this.setVisible(false)
    this.#clearAnnouncement()
    this.connectFlow.end()
    this.transferQueue.stop()
    for (const task of [this.connectionList.task, this.browser.loading, this.browser.paging, this.verification])
      task.stop()
  }

  /** Reloads the current folder if its connection was repaired. Otherwise opens the root of the new connection. */
  #resume(connection: ConnectionView): void {
    this.connectionList.upsert(connection)
    const { folder } = this.browser
    if (folder?.connectionId === connection.id && connection.status === 'ACTIVE') {
      this.connectionId = connection.id
      void this.browser.reload()
    } else {
      this.visit(connection)
    }
  }

  #watch(): void {
    const { browser } = this
    // A folder that is being loaded for the first time has nothing to update.
    this.#live.watch(this.#isVisible && this.isShown ? browser.folder : null)
  }

  /** Carries the selection over to updated pages, and announces what has changed. */
  #followUpdate(): void {
    const { pages } = this.browser
    const changes = pages?.lastChanges ?? null
    if (pages === null || changes === this.#followed) return
    this.#followed = changes
    if (changes === null) return
    this.selection.replaceAll(pages.entries)
    this.#announce(changes)
  }

  #announce({ added, removed, changed }: EntryChanges): void {
    const pending = this.#pendingChanges ?? { added: 0, removed: 0, changed: 0 }
    this.#pendingChanges = {
      added: pending.added + added,
      removed: pending.removed + removed,
      changed: pending.changed + changed
    }
    if (this.#cancelAnnouncement === null) this.#announcePending()
  }

  #announcePending(): void {
    this.#cancelAnnouncement = null
    this.announced = this.#pendingChanges
    if (this.#pendingChanges !== null) {
      this.#pendingChanges = null
      // Emptied afterwards, so that the same text is announced again.
      this.#cancelAnnouncement = this.#ports.clock.after(ANNOUNCE_MS, () => {
        this.#announcePending()
      })
    }
    this.#ports.onChange()
  }

  #clearAnnouncement(): void {
    this.#cancelAnnouncement?.()
    this.#cancelAnnouncement = null
    this.#pendingChanges = null
    this.announced = null
  }

  async #reloadConnections(): Promise<void> {
    try {
      this.connectionList.replaceAll(await this.#ports.api().connections(new AbortController().signal))
    } catch {
      // The original problem is already displayed.
    }
  }

  #searchNameOf(entry: Entry): string {
    const name = this.#searchNames.get(entry) ?? normalizeForSearch(entry.name)
    this.#searchNames.set(entry, name)
    return name
  }
}
