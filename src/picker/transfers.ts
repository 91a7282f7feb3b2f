import type { OnProgress } from './picker-api.ts'
import { Task, type TaskOptions } from './task.ts'

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
