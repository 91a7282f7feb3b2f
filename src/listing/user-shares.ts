import type { Kept } from './kept.ts'

interface Usage {
  entries: number
  bytes: number
  leastRecent: Kept | undefined
  mostRecent: Kept | undefined
}

/**
 * Counts what each user has in the cache, and orders the entries of each user by their last use. The order is a linked
 * list of the entries themselves: every operation takes constant time, however many entries a user has. (The first
 * element of a `Set` that is used as a queue is found in time linear in the elements that were removed before it.)
 */
export class UserShares {
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #usages = new Map<string, Usage>()

  /** @param maxEntries at least 1 @param maxBytes of one user */
  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries
    this.#maxBytes = maxBytes
  }

  /** Returns false for an entry that is larger than a whole share. */
  fits(size: number): boolean {
    return size <= this.#maxBytes
  }

  /** Adds an entry as the most recently used one of its user. Its size must fit. */
  add(entry: Kept, size: number): void {
    const { userId } = entry.folder
    let usage = this.#usages.get(userId)
    if (usage === undefined) {
      usage = { entries: 0, bytes: 0, leastRecent: undefined, mostRecent: undefined }
      this.#usages.set(userId, usage)
    }
    entry.size = size
    usage.entries += 1
    usage.bytes += size
    append(usage, entry)
  }

  /** Makes an entry the most recently used one of its user. */
  use(entry: Kept): void {
    const usage = this.#usages.get(entry.folder.userId)
    if (usage === undefined || usage.mostRecent === entry) return
    unlink(usage, entry)
    append(usage, entry)
  }

  /** Notes the new size of an entry, which counts as a use. */
  resize(entry: Kept, size: number): void {
    const usage = this.#usages.get(entry.folder.userId)
    if (usage === undefined) return
    usage.bytes += size - entry.size
    entry.size = size
    this.use(entry)
  }

  remove(entry: Kept): void {
    const { userId } = entry.folder
    const usage = this.#usages.get(userId)
    if (usage === undefined) return
    unlink(usage, entry)
    usage.entries -= 1
    usage.bytes -= entry.size
    if (usage.entries === 0) this.#usages.delete(userId)
  }

  /** The least recently used entry of a user who exceeds the share; `undefined` for any other user. */
  surplusOf(userId: string): Kept | undefined {
    const usage = this.#usages.get(userId)
    const exceeds = usage !== undefined && (usage.entries > this.#maxEntries || usage.bytes > this.#maxBytes)
    return exceeds ? usage.leastRecent : undefined
  }
}

function append(usage: Usage, entry: Kept): void {
  entry.lessRecent = usage.mostRecent
  if (usage.mostRecent === undefined) usage.leastRecent = entry
  else usage.mostRecent.moreRecent = entry
  usage.mostRecent = entry
}

function unlink(usage: Usage, entry: Kept): void {
  const { lessRecent, moreRecent } = entry
  if (lessRecent === undefined) usage.leastRecent = moreRecent
  else lessRecent.moreRecent = moreRecent
  if (moreRecent === undefined) usage.mostRecent = lessRecent
  else moreRecent.lessRecent = lessRecent
  entry.lessRecent = undefined
  entry.moreRecent = undefined
}
