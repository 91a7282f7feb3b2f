import type { Entry } from '../../src/core/entry.ts'
import type { Clock } from '../picker/clock.ts'
import { fileBehind } from '../picker/state/selection.ts'
import { downloadName } from '../picker/files.ts'
import { PickerProblem } from '../picker/problem.ts'
import { Task } from '../picker/state/task.ts'
import { Transfers } from '../picker/state/transfers.ts'
import { CacheWatch } from './cache-panel.ts'
import { DocumentList } from './documents.ts'
import { DocumentsApi, type DocumentView } from './documents.ts'
import { chooseFile, writeTo } from './documents.ts'
import type { Session } from './session.ts'

export interface PagePorts {
  readonly session: Session
  readonly clock: Clock
  readonly onChange: () => void
  readonly save: (content: Blob, name: string) => void
}

/** The selection in the picker. */
export interface Choice {
  readonly entries: readonly Entry[]
  readonly provider: string | null
  readonly connectionId: string | null
}

const NOTHING: Choice = { entries: [], provider: null, connectionId: null }

/** State and behaviour of the page, without the DOM. */
export class PageCore {
  readonly session: Session
  watch: CacheWatch
  documents: DocumentList
  transfers: Transfers
  /** Adds files as documents, and removes documents. */
  changing: Task
  choice = NOTHING
  /** The last event, for a live region. */
  said = ''
  /** The document that will be removed when the user confirms. */
  doomed: DocumentView | null = null
  readonly #ports: PagePorts
  readonly #api: DocumentsApi

  constructor(ports: PagePorts) {
    this.#ports = ports
    this.session = ports.session
    this.#api = new DocumentsApi(() => this.session.headers)
    const fresh = this.#fresh()
    this.watch = fresh.watch
    this.documents = fresh.documents
    this.transfers = fresh.transfers
    this.changing = fresh.changing
  }

  /** Starts again for the signed-in user, without any state of the previous user. */
  async begin(): Promise<void> {
    this.#stop()
    Object.assign(this, this.#fresh())
    this.choice = NOTHING
    this.said = ''
    this.#ports.onChange()
    if (this.session.token !== null) await this.documents.load()
  }

  async signIn(token: string): Promise<void> {
    this.session.signIn(token)
    await this.begin()
  }

  signOut(why: 'left' | 'expired'): void {
    if (this.session.token === null) return
    this.session.signOut(why)
    this.#stop()
    this.#ports.onChange()
  }

  /** The browser's `fetch`, with the responses observed by the cache watch. */
  readonly fetch: typeof fetch = async (...asked) => {
    const { watch } = this
    const response = await fetch(...asked)
    if (watch.observe(response.url, response.headers)) this.#ports.onChange()
    return response
  }

  choose(choice: Choice): void {
    this.choice = choice
    this.#ports.onChange()
  }

  async keep(): Promise<void> {
    const { entries, provider, connectionId } = this.choice
    if (provider === null || connectionId === null) return
    const keys = entries.map(fileBehind).filter((id) => id !== null)
    await this.changing.run(async (signal) => {
      for (const objectKey of keys) {
        const kept = await this.#api.keep({ provider, connectionId, objectKey }, signal)
        this.documents.add(kept)
        this.#say(`${kept.name} was added to your documents.`)
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
          this.#say(`${file.name} was uploaded.`)
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
        const content = await writeTo(file, response, onProgress, signal)
        if (content !== null) this.#ports.save(content, downloadName(response, name))
        this.#say(`${name} was downloaded.`)
      }
    })
  }

  /** Opens or closes the confirmation dialog. */
  doom(document: DocumentView | null): void {
    this.doomed = document
    this.#ports.onChange()
  }

  async remove(): Promise<void> {
    const { doomed } = this
    if (doomed === null) return
    this.doomed = null
    await this.changing.run(async (signal) => {
      try {
        await this.#api.remove(doomed.id, signal)
      } catch (error) {
        // Another tab has already removed it.
        if (!(error instanceof PickerProblem) || error.code !== 'DOCUMENT_NOT_FOUND') throw error
      }
      this.documents.drop(doomed.id)
      this.#say(`${doomed.name} was removed.`)
    })
  }

  readonly onProblem = (problem: PickerProblem): void => {
    if (problem.isSignedOut) this.signOut('expired')
  }

  #say(text: string): void {
    this.said = text
    this.#ports.onChange()
  }

  #stop(): void {
    this.doomed = null
    this.documents.loading.stop()
    this.changing.stop()
    for (const { task } of this.transfers.items) task.stop()
  }

  #fresh() {
    const { clock, onChange } = this.#ports
    const options = { clock, onChange, onProblem: this.onProblem, isPatient: true }
    return {
      watch: new CacheWatch(clock),
      documents: new DocumentList(this.#api, options),
      transfers: new Transfers(options),
      changing: new Task({ ...options, isPatient: false })
    }
  }
}
