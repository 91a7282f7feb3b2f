import type { Moment } from '../domain/moment.ts'
import { SharedWork } from '../domain/shared-work.ts'
import type { FolderKey } from './folder-key.ts'
import { Slot } from './slot-index.ts'

/** A fetch in flight, shared by its callers. */
export class Load<T = unknown> extends Slot {
  readonly startedAt: Moment
  /** Start of the load that produced the value: earlier than `startedAt` if the value comes from another cache. */
  loadedAt: Moment
  /** True if the result was cached. */
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

  /** Calls `fetch` now. `settle` turns its promise into the one that all callers get. */
  begin(fetch: (signal: AbortSignal) => Promise<T>, settle: (fetched: Promise<T>) => Promise<T>): void {
    // Async, so that a synchronous error of `fetch` is settled like any other failure.
    this.#work.begin((signal) => settle((async () => await fetch(signal))()))
  }

  /** Returns a promise for one caller. Its signal releases that caller alone; the last to leave aborts the fetch. */
  wait(signal: AbortSignal | undefined): Promise<T> {
    return this.#work.wait(signal)
  }
}
