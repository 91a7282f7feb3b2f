/** A cached value that counts against its user's share. `UserShares` sets and reads the mutable fields. */
export interface UserEntry<E> {
  readonly userId: string
  /** In bytes. */
  size: number
  /** The neighbours in the user's order of use. */
  lessRecent: E | undefined
  moreRecent: E | undefined
}

interface Usage<E> {
  entries: number
  bytes: number
  leastRecent: E | undefined
  mostRecent: E | undefined
}

/**
 * Counts each user's share of a cache, and orders the entries of each user by their last use. The order is a linked
 * list of the entries themselves, so every operation takes constant time, however many entries a user has. (Finding
 * the first element of a `Set` used as a queue takes time linear in the number of elements removed before it.)
 */
export class UserShares<E extends UserEntry<E>> {
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #usages = new Map<string, Usage<E>>()

  /** @param maxEntries at least 1 @param maxBytes of one user */
  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries
    this.#maxBytes = maxBytes
  }

  /** Returns false for an entry that is larger than a whole share. */
  fits(size: number): boolean {
    return size <= this.#maxBytes
  }

  /**
   * Adds an entry as the most recently used one of its user.
   *
   * @throws RangeError if its size does not fit
   */
  add(entry: E, size: number): void {
    this.#requireFit(size)
    const { userId } = entry
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
  use(entry: E): void {
    const usage = this.#usages.get(entry.userId)
    if (usage === undefined || usage.mostRecent === entry) return
    unlink(usage, entry)
    append(usage, entry)
  }

  /**
   * Stores the new size of an entry, which counts as a use.
   *
   * @throws RangeError if it does not fit
   */
  resize(entry: E, size: number): void {
    this.#requireFit(size)
    const usage = this.#usages.get(entry.userId)
    if (usage === undefined) return
    usage.bytes += size - entry.size
    entry.size = size
    this.use(entry)
  }

  remove(entry: E): void {
    const { userId } = entry
    const usage = this.#usages.get(userId)
    if (usage === undefined) return
    unlink(usage, entry)
    usage.entries -= 1
    usage.bytes -= entry.size
    if (usage.entries === 0) this.#usages.delete(userId)
  }

  /** Returns the total bytes of a user's entries. */
  bytesOf(userId: string): number {
    return this.#usages.get(userId)?.bytes ?? 0
  }

  /**
   * Returns the least recently used entry of a user that exceeds the share; `undefined` for any other user. It is never
   * the newest one, which fits by itself: callers evict before their cache contains that.
   */
  evictionCandidate(userId: string): E | undefined {
    const usage = this.#usages.get(userId)
    const exceeds = usage !== undefined && (usage.entries > this.#maxEntries || usage.bytes > this.#maxBytes)
    return exceeds ? usage.leastRecent : undefined
  }

  /** Callers evict entries until the user is within the share, which would never end for an entry that does not fit. */
  #requireFit(size: number): void {
    if (!this.fits(size)) throw new RangeError(`An entry of ${size} bytes exceeds the share of its user.`)
  }
}

function append<E extends UserEntry<E>>(usage: Usage<E>, entry: E): void {
  entry.lessRecent = usage.mostRecent
  if (usage.mostRecent === undefined) usage.leastRecent = entry
  else usage.mostRecent.moreRecent = entry
  usage.mostRecent = entry
}

function unlink<E extends UserEntry<E>>(usage: Usage<E>, entry: E): void {
  const { lessRecent, moreRecent } = entry
  if (lessRecent === undefined) usage.leastRecent = moreRecent
  else lessRecent.moreRecent = moreRecent
  if (moreRecent === undefined) usage.mostRecent = lessRecent
  else moreRecent.lessRecent = lessRecent
  entry.lessRecent = undefined
  entry.moreRecent = undefined
}
