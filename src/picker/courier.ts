import type { Entry } from '../domain/entry.ts'
import { savedName } from './entry-rules.ts'
import type { FolderBrowser } from './folder-browser.ts'
import type { PickerApi, Place } from './picker-api.ts'
import { Task, type TaskOptions } from './task.ts'
import { Transfers } from './transfers.ts'

/** Uploads to and downloads from the current folder, and creates folders in it. */
export class Courier {
  readonly transfers: Transfers
  /** The creation of a folder. */
  readonly making: Task
  /** Whether the form for a new folder is open. */
  isMaking = false
  /** Whether dropped folders were refused. */
  hasRefusedFolders = false
  readonly #api: () => PickerApi
  readonly #browser: FolderBrowser

  constructor(api: () => PickerApi, browser: FolderBrowser, options: TaskOptions) {
    this.#api = api
    this.#browser = browser
    this.transfers = new Transfers(options)
    this.making = new Task({ ...options, isPatient: false })
  }

  /** Opens or closes the form for a new folder. */
  make(isOpen: boolean): void {
    this.hasRefusedFolders = false
    this.isMaking = isOpen
    this.making.stop()
  }

  async createFolder(name: string): Promise<void> {
    const { place } = this.#browser
    if (place === null) return
    await this.making.run(async (signal) => {
      this.#show(await this.#api().createFolder(place, name, signal), place)
      this.isMaking = false
    })
  }

  /** @param hasFolders whether the drop also contained folders, which cannot be uploaded */
  upload(files: readonly File[], hasFolders = false): void {
    this.hasRefusedFolders = hasFolders
    const { place } = this.#browser
    if (place === null) return
    for (const file of files) this.#send(file, place)
  }

  /** Downloads a file that a plain link cannot download. @param save saves the content */
  download(place: Place, id: string, entry: Entry, save: (content: Blob, name: string) => void): void {
    this.transfers.add({
      direction: 'download',
      name: entry.name,
      total: entry.size,
      run: async (onProgress, signal) => {
        const { content, name } = await this.#api().download(place, id, onProgress, signal)
        save(content, name ?? savedName(entry))
      }
    })
  }

  stop(): void {
    this.making.stop()
    for (const { task } of this.transfers.items) task.stop()
  }

  #send(file: File, place: Place): void {
    this.transfers.add({
      direction: 'upload',
      name: file.name,
      total: file.size,
      run: async (onProgress, signal) => {
        this.#show(await this.#api().upload(place, file, onProgress, signal), place)
      },
      renamed: (name) => {
        this.#send(new File([file], name, { type: file.type }), place)
      }
    })
  }

  /** Inserts a new entry into the listing at once, if its folder is still the current one. */
  #show(entry: Entry, { connectionId, folderId }: Place): void {
    const { place, pages } = this.#browser
    if (place?.connectionId === connectionId && place.folderId === folderId) pages?.insert(entry)
  }
}
