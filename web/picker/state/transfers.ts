import type { Entry } from '../../../src/core/entry.ts'
import type { OnProgress, PickerApi, Place } from '../api.ts'
import type { FolderBrowser } from './folder.ts'
import { savedName } from './selection.ts'
import { Task, type TaskOptions } from './task.ts'

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
  readonly renamed: ((name: string) => void) | null
}

export interface TransferWork {
  readonly direction: Transfer['direction']
  readonly name: string
  readonly total: number | null
  readonly run: (onProgress: OnProgress, signal: AbortSignal) => Promise<void>
  readonly renamed?: (name: string) => void
}

/** Concurrent transfers. More would only share the same bandwidth. */
const MAX_ACTIVE = 2

/** Uploads and downloads, with a queue. */
export class Transfers {
  readonly items: Transfer[] = []
  readonly #options: TaskOptions
  readonly #waiting: { readonly item: Transfer; readonly run: TransferWork['run'] }[] = []
  #active = 0
  #lastId = 0

  constructor(options: TaskOptions) {
    this.#options = options
  }

  add({ direction, name, total, run, renamed }: TransferWork): Transfer {
    const item: Transfer = {
      id: ++this.#lastId,
      direction,
      name,
      task: new Task(this.#options),
      done: 0,
      total,
      isFinished: false,
      renamed: renamed ?? null
    }
    this.items.push(item)
    this.#waiting.push({ item, run })
    this.#pump()
    this.#options.onChange()
    return item
  }

  /** Aborts a transfer and removes it from the list. */
  remove(item: Transfer): void {
    item.task.stop()
    const waiting = this.#waiting.findIndex((each) => each.item === item)
    if (waiting !== -1) this.#waiting.splice(waiting, 1)
    const at = this.items.indexOf(item)
    if (at !== -1) this.items.splice(at, 1)
    this.#options.onChange()
  }

  clearFinished(): void {
    for (const item of this.items.filter(({ isFinished }) => isFinished)) this.remove(item)
  }

  #pump(): void {
    while (this.#active < MAX_ACTIVE) {
      const next = this.#waiting.shift()
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
    this.#pump()
  }
}

/** Returns the next free-name candidate: "a (2).txt" for "a.txt", then "a (3).txt". */
export function otherName(name: string): string {
  const [, stem = name, count, ending = ''] = /^(.+?)(?: \((\d+)\))?(\.[^.]+)?$/s.exec(name) ?? []
  return `${stem} (${Number(count ?? 1) + 1})${ending}`
}
