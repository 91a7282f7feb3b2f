import type { OnProgress } from './picker-api.ts'
import { Task, type TaskOptions } from './task.ts'

export interface Transfer {
  readonly id: number
  readonly direction: 'upload' | 'download'
  readonly name: string
  readonly task: Task
  /** Bytes; `total` is `null` where nobody knows. */
  done: number
  total: number | null
  isFinished: boolean
  /** Does the same under another name, where a name that is taken can be answered so. */
  readonly renamed: ((name: string) => void) | null
}

export interface TransferWork {
  readonly direction: Transfer['direction']
  readonly name: string
  readonly total: number | null
  readonly run: (onProgress: OnProgress, signal: AbortSignal) => Promise<void>
  readonly renamed?: (name: string) => void
}

/** So many at a time: more would only share the same line. */
const MAX_ACTIVE = 2

/** Files on their way, in either direction. */
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

  /** Ends it where it is on its way, and takes it off the list. */
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

/** "a (2).txt" for "a.txt", "a (3).txt" for that. */
export function otherName(name: string): string {
  const [, stem = name, count, ending = ''] = /^(.+?)(?: \((\d+)\))?(\.[^.]+)?$/s.exec(name) ?? []
  return `${stem} (${Number(count ?? 1) + 1})${ending}`
}
