import type { Clock } from '../domain/ports.ts'
import type { FolderKey } from './folder-key.ts'
import type { Slot } from './slot-index.ts'

/** One moment on both clocks. */
export class Moment {
  readonly #now: number
  readonly #date: number

  constructor(clock: Clock) {
    this.#now = clock.now()
    this.#date = clock.date()
  }

  /** How long ago it was in milliseconds, by the clock that says more: a machine that slept does not serve old data. */
  ageMs(clock: Clock): number {
    return Math.max(clock.now() - this.#now, clock.date() - this.#date, 0)
  }
}

/** One fetch in flight, shared by its callers. */
export class Load<T = unknown> implements Slot {
  readonly folder: FolderKey
  readonly key: string
  readonly startedAt: Moment
  /** Whether the cache kept the result. */
  stored = false
  readonly #controller = new AbortController()
  readonly #onAbandoned: (load: Load) => void
  #waiting = 0
  #result: Promise<T> | undefined

  constructor(key: string, folder: FolderKey, startedAt: Moment, onAbandoned: (load: Load) => void) {
    this.key = key
    this.folder = folder
    this.startedAt = startedAt
    this.#onAbandoned = onAbandoned
  }

  /** Calls `fetch` now; `settle` turns its answer into what every caller gets. */
  begin(fetch: (signal: AbortSignal) => Promise<T>, settle: (fetched: Promise<T>) => Promise<T>): void {
    let fetched: Promise<T>
    try {
      fetched = Promise.resolve(fetch(this.#controller.signal))
    } catch (error) {
      fetched = Promise.reject(error)
    }
    this.#result = settle(fetched)
    // The callers have promises of their own. This one may end when all of them have left.
    this.#result.catch(() => {})
  }

  /** A caller's own promise. Its signal frees that caller alone; the last to leave aborts the fetch. */
  wait(signal: AbortSignal | undefined): Promise<T> {
    const result = this.#result
    if (result === undefined) return Promise.reject(new TypeError('A fetch cannot wait for itself'))
    this.#waiting += 1
    if (signal === undefined) return result
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason as Error)
        this.#waiting -= 1
        if (this.#waiting > 0) return
        this.#onAbandoned(this)
        this.#controller.abort(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      const free = (): void => {
        signal.removeEventListener('abort', leave)
      }
      result.then(
        (value) => {
          free()
          resolve(value)
        },
        (error: unknown) => {
          free()
          reject(error)
        }
      )
    })
  }
}
