import type { Moment } from '../domain/moment.ts'
import { SharedWork } from '../domain/shared-work.ts'
import type { FolderKey } from './folder-key.ts'
import { Slot } from './slot-index.ts'

/** One fetch in flight, shared by its callers. */
export class Load<T = unknown> extends Slot {
  readonly startedAt: Moment
  /** When what it brings was loaded: earlier than it started, where that was kept elsewhere. */
  loadedAt: Moment
  /** Whether the cache kept the result. */
  stored = false
  readonly #work: SharedWork<T>

  constructor(folder: FolderKey, startedAt: Moment, onAbandoned: (load: Load) => void) {
    super(folder)
    this.startedAt = startedAt
    this.loadedAt = startedAt
    this.#work = new SharedWork(() => {
      onAbandoned(this)
    })
  }

  /** Calls `fetch` now; `settle` turns its answer into what every caller gets. */
  begin(fetch: (signal: AbortSignal) => Promise<T>, settle: (fetched: Promise<T>) => Promise<T>): void {
    // Async, so that what `fetch` throws at once is settled like any other failure.
    this.#work.begin((signal) => settle((async () => await fetch(signal))()))
  }

  /** A caller's own promise. Its signal frees that caller alone; the last to leave aborts the fetch. */
  wait(signal: AbortSignal | undefined): Promise<T> {
    return this.#work.wait(signal)
  }
}
