import type { Entry } from '../../../src/core/entry.ts'
import type { OnProgress, PickerApi, FolderRef } from '../api.ts'
import type { FolderBrowser } from './folder.ts'
import { downloadFileName } from './selection.ts'
import { Task, type TaskOptions } from './task.ts'

/** Uploads to and downloads from the current folder, and creates folders in it. */
export class TransferQueue {
  readonly transfers: Transfers
  /** The creation of a folder. */
  readonly folderCreation: Task
  /** Whether the form for a new folder is open. */
  isNewFolderOpen = false
  /** Whether dropped folders were refused. */
  hasRejectedFolders = false
  readonly #api: () => PickerApi
  readonly #browser: FolderBrowser

  constructor(api: () => PickerApi, browser: FolderBrowser, options: TaskOptions) {
    this.#api = api
    this.#browser = browser
    this.transfers = new Transfers(options)
    this.folderCreation = new Task({ ...options, autoRetry: false })
  }

  /** Opens or closes the form for a new folder. */
  toggleNewFolder(isOpen: boolean): void {
    this.hasRejectedFolders = false
    this.isNewFolderOpen = isOpen
    this.folderCreation.stop()
  }

  async createFolder(name: string): Promise<void> {
    const { folder } = this.#browser
    if (folder === null) return
    await this.folderCreation.run(async (signal) => {
      this.#insertEntry(await this.#api().createFolder(folder, name, signal), folder)
      this.isNewFolderOpen = false
    })
  }

  /** @param hasFolders whether the drop also contained folders, which cannot be uploaded */
  upload(files: readonly File[], hasFolders = false): void {
    this.hasRejectedFolders = hasFolders
    const { folder } = this.#browser
    if (folder === null) return
    for (const file of files) this.#startUpload(file, folder)
  }

  /** Downloads a file that a plain link cannot download. @param save saves the content */
  download(folder: FolderRef, id: string, entry: Entry, save: (content: Blob, name: string) => void): void {
    this.transfers.add({
      direction: 'download',
      name: entry.name,
      total: entry.size,
      run: async (onProgress, signal) => {
        const { content, name } = await this.#api().download(folder, id, onProgress, signal)
        save(content, name ?? downloadFileName(entry))
      }
    })
  }

  stop(): void {
    this.folderCreation.stop()
    for (const { task } of this.transfers.items) task.stop()
  }

  #startUpload(file: File, folder: FolderRef): void {
    this.transfers.add({
      direction: 'upload',
      name: file.name,
      total: file.size,
      run: async (onProgress, signal) => {
        this.#insertEntry(await this.#api().upload(folder, file, onProgress, signal), folder)
      },
      retryAs: (name) => {
        this.#startUpload(new File([file], name, { type: file.type }), folder)
      }
    })
  }

  /** Inserts a new entry into the listing at once, if its folder is still the current one. */
  #insertEntry(entry: Entry, { connectionId, folderId }: FolderRef): void {
    const { folder, pages } = this.#browser
    if (folder?.connectionId === connectionId && folder.folderId === folderId) pages?.insert(entry)
  }
}

export interface Transfer {
  readonly id: number
  readonly direction: 'upload' | 'download'
  readonly name: string
  readonly task: Task
  /** Progress in bytes; `total` is `null` if it is unknown. */
  done: number
  total: number | null
  isFinished: boolean
  /** Repeats the upload under another name. `null` if a taken name cannot be resolved this way. */
  readonly retryAs: ((name: string) => void) | null
}

export interface TransferWork {
  readonly direction: Transfer['direction']
  readonly name: string
  readonly total: number | null
  readonly run: (onProgress: OnProgress, signal: AbortSignal) => Promise<void>
  readonly retryAs?: (name: string) => void
}

/** Concurrent transfers. More would only share the same bandwidth. */
const MAX_ACTIVE = 2

/** Uploads and downloads, with a queue. */
export class Transfers {
  readonly items: Transfer[] = []
  readonly #options: TaskOptions
  readonly #queue: { readonly item: Transfer; readonly run: TransferWork['run'] }[] = []
  #active = 0
  #lastId = 0

  constructor(options: TaskOptions) {
    this.#options = options
  }

  add({ direction, name, total, run, retryAs }: TransferWork): Transfer {
    const item: Transfer = {
      id: ++this.#lastId,
      direction,
      name,
      task: new Task(this.#options),
      done: 0,
      total,
      isFinished: false,
      retryAs: retryAs ?? null
    }
    this.items.push(item)
    this.#queue.push({ item, run })
    this.#startNext()
    this.#options.onChange()
    return item
  }

  /** Aborts a transfer and removes it from the list. */
  remove(item: Transfer): void {
    item.task.stop()
    const queuedAt = this.#queue.findIndex((each) => each.item === item)
    if (queuedAt !== -1) this.#queue.splice(queuedAt, 1)
    const index = this.items.indexOf(item)
    if (index !== -1) this.items.splice(index, 1)
    this.#options.onChange()
  }

  clearFinished(): void {
    for (const item of this.items.filter(({ isFinished }) => isFinished)) this.remove(item)
  }

  #startNext(): void {
    while (this.#active < MAX_ACTIVE) {
      const next = this.#queue.shift()
      if (next === undefined) return
      this.#active++
      void this.#start(next.item, next.run)
    }
  }

  async #start(item: Transfer, run: TransferWork['run']): Promise<void> {
    await item.task.run(async (signal) => {
      await run((done, total) => {
        item.done = done
        item.total = total
        this.#options.onChange()
      }, signal)
      item.isFinished = true
    })
    this.#active--
    this.#startNext()
  }
}

/** Returns the next free-name candidate: "a (2).txt" for "a.txt", then "a (3).txt". */
export function nextName(name: string): string {
  const [, stem = name, count, extension = ''] = /^(.+?)(?: \((\d+)\))?(\.[^.]+)?$/s.exec(name) ?? []
  return `${stem} (${Number(count ?? 1) + 1})${extension}`
}
