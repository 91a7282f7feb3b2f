import type { Moment } from '../domain/moment.ts'
import type { SharedEntry } from '../domain/user-shares.ts'
import type { FolderKey } from './folder-key.ts'
import { Slot } from './slot-index.ts'

/** A cached listing of a folder. */
export class Kept extends Slot implements SharedEntry<Kept> {
  readonly value: unknown
  readonly startedAt: Moment
  /** Set and read by `UserShares`: the size in bytes, and the neighbours in the user's order of use. */
  size = 0
  lessRecent: Kept | undefined
  moreRecent: Kept | undefined
  #answer: Promise<unknown> | undefined

  constructor(folder: FolderKey, value: unknown, startedAt: Moment) {
    super(folder)
    this.value = value
    this.startedAt = startedAt
  }

  get userId(): string {
    return this.folder.userId
  }

  /** The value as a promise, created once for all callers. */
  get answer(): Promise<unknown> {
    return (this.#answer ??= Promise.resolve(this.value))
  }
}
