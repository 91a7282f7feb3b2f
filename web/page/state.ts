import type { Entry } from '../../src/core/entry.ts'
import type { Clock } from '../picker/clock.ts'
import { targetFileId } from '../picker/state/selection.ts'
import { downloadName } from '../picker/files.ts'
import { PickerProblem } from '../picker/problem.ts'
import { Task } from '../picker/state/task.ts'
import { Transfers } from '../picker/state/transfers.ts'
import { CacheMonitor } from './cache-monitor.ts'
import { chooseFile, DocumentList, DocumentsApi, type DocumentView, saveBody } from './documents.ts'
import type { Session } from './session.ts'

export interface PagePorts {
  readonly session: Session
  readonly clock: Clock
  readonly onChange: () => void
  readonly save: (content: Blob, name: string) => void
}

/** The selection in the picker. */
export interface PickerSelection {
  readonly entries: readonly Entry[]
  readonly provider: string | null
  readonly connectionId: string | null
}

const EMPTY_SELECTION: PickerSelection = { entries: [], provider: null, connectionId: null }

/** State and behaviour of the page, without the DOM. */
export class PageCore {
  readonly session: Session
  cacheMonitor: CacheMonitor
  documents: DocumentList
  transfers: Transfers
  /** Adds files as documents, and removes documents. */
  documentChange: Task
  selection = EMPTY_SELECTION
  /** The last event, for a live region. */
  announcement = ''
  /** The document that will be removed when the user confirms. */
  pendingRemoval: DocumentView | null = null
  readonly #ports: PagePorts
  readonly #api: DocumentsApi

  constructor(ports: PagePorts) {
    this.#ports = ports
    this.session = ports.session
    this.#api = new DocumentsApi(() => this.session.headers)
    const initial = this.#createState()
    this.cacheMonitor = initial.cacheMonitor
    this.documents = initial.documents
    this.transfers = initial.transfers
    this.documentChange = initial.documentChange
  }

  /** Starts again for the signed-in user, without any state of the previous user. */
  async start(): Promise<void> {
    this.#stopTasks()
    Object.assign(this, this.#createState())
    this.selection = EMPTY_SELECTION
    this.announcement = ''
    this.#ports.onChange()
    if (this.session.token !== null) await this.documents.load()
  }

  async signIn(token: string): Promise<void> {
    this.session.signIn(token)
    await this.start()
  }

  signOut(reason: 'left' | 'expired'): void {
    if (this.session.token === null) return
    this.session.signOut(reason)
    this.#stopTasks()
    this.#ports.onChange()
  }

  /** The browser's `fetch`, with the responses observed by the cache monitor. */
  readonly fetch: typeof fetch = async (...args) => {
    const { cacheMonitor } = this
    const response = await fetch(...args)
    if (cacheMonitor.record(response.url, response.headers)) this.#ports.onChange()
    return response
  }

  setSelection(selection: PickerSelection): void {
    this.selection = selection
    this.#ports.onChange()
  }

  async addSelection(): Promise<void> {
    const { entries, provider, connectionId } = this.selection
    if (provider === null || connectionId === null) return
    const keys = entries.map(targetFileId).filter((id) => id !== null)
    await this.documentChange.run(async (signal) => {
      for (const objectKey of keys) {
        const document = await this.#api.addFromCloud({ provider, connectionId, objectKey }, signal)
        this.documents.add(document)
        this.#announce(`${document.name} was added to your documents.`)
      }
    })
  }

  upload(files: readonly File[]): void {
    const { uploads } = this.documents
    if (uploads == null) return
    for (const file of files) {
      this.transfers.add({
        direction: 'upload',
        name: file.name,
        total: file.size,
        run: async (onProgress, signal) => {
          if (uploads.maxBytes !== null && file.size > uploads.maxBytes) {
            throw new PickerProblem('PAYLOAD_TOO_LARGE', { status: 413 })
          }
          this.documents.add(await this.#api.upload(file, onProgress, signal))
          this.#announce(`${file.name} was uploaded.`)
        }
      })
    }
  }

  async download({ id, name, size }: DocumentView): Promise<void> {
    const file = await chooseFile(name, size)
    if (file === null) return
    this.transfers.add({
      direction: 'download',
      name,
      total: size,
      run: async (onProgress, signal) => {
        const response = await this.#api.download(id, signal)
        const content = await saveBody(file, response, onProgress, signal)
        if (content !== null) this.#ports.save(content, downloadName(response, name))
        this.#announce(`${name} was downloaded.`)
      }
    })
  }

  /** Opens or closes the confirmation dialog. */
  setPendingRemoval(document: DocumentView | null): void {
    this.pendingRemoval = document
    this.#ports.onChange()
  }

  async remove(): Promise<void> {
    const { pendingRemoval } = this
    if (pendingRemoval === null) return
    this.pendingRemoval = null
    await this.documentChange.run(async (signal) => {
      try {
        await this.#api.remove(pendingRemoval.id, signal)
      } catch (error) {
        // Another tab has already removed it.
        if (!(error instanceof PickerProblem) || error.code !== 'DOCUMENT_NOT_FOUND') throw error
      }
      this.documents.removeItem(pendingRemoval.id)
      this.#announce(`${pendingRemoval.name} was removed.`)
    })
  }

  readonly onProblem = (problem: PickerProblem): void => {
    if (problem.isSignedOut) this.signOut('expired')
  }

  #announce(text: string): void {
    this.announcement = text
    this.#ports.onChange()
  }

  #stopTasks(): void {
    this.pendingRemoval = null
    this.documents.loading.stop()
    this.documentChange.stop()
    for (const { task } of this.transfers.items) task.stop()
  }

  #createState() {
    const { clock, onChange } = this.#ports
    const options = { clock, onChange, onProblem: this.onProblem, autoRetry: true }
    return {
      cacheMonitor: new CacheMonitor(clock),
      documents: new DocumentList(this.#api, options),
      transfers: new Transfers(options),
      documentChange: new Task({ ...options, autoRetry: false })
    }
  }
}
