import { SharedWork } from '../core/shared-work.ts'
import type { Moment } from '../core/time.ts'
import type { UserEntry } from '../core/user-shares.ts'
import { Slot } from './slot-index.ts'
import type { FolderKey } from './types.ts'

/** A cached listing of a folder. */
export class CacheEntry extends Slot implements UserEntry<CacheEntry> {
  readonly value: unknown
  readonly startedAt: Moment
  /** Set and read by `UserShares`: the size in bytes, and the neighbours in the user's order of use. */
  size = 0
  lessRecent: CacheEntry | undefined
  moreRecent: CacheEntry | undefined
  #promise: Promise<unknown> | undefined

  constructor(folder: FolderKey, value: unknown, startedAt: Moment) {
    super(folder)
    this.value = value
    this.startedAt = startedAt
  }

  get userId(): string {
    return this.folder.userId
  }

  /** The value as a promise, created once for all callers. */
  get promise(): Promise<unknown> {
    return (this.#promise ??= Promise.resolve(this.value))
  }
}

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

/** Freezes a JSON value deeply and in place: later readers get the same object. */
export function deepFreeze(value: unknown): void {
  const seen = new Set<unknown>()
  const stack: unknown[] = [value]
  while (stack.length > 0) {
    const current = stack.pop()
    if (typeof current !== 'object' || current === null || seen.has(current)) continue
    seen.add(current)
    Object.freeze(current)
    for (const key of Object.keys(current)) stack.push((current as Record<string, unknown>)[key])
  }
}

/** Returns the length of the value's JSON text in bytes of UTF-8. */
export function jsonSize(value: unknown): number {
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError('Only JSON values can be cached')
  return Buffer.byteLength(json)
}
