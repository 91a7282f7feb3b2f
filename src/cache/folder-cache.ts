import { LRUCache } from 'lru-cache'
import { type Clock, Moment } from '../core/time.ts'
import type { InvalidatedScope } from './shared-tier.ts'
import { SharedWork } from '../core/shared-work.ts'
import { InFlightLimit } from '../core/user-limits.ts'
import { type UserEntry, UserShares } from '../core/user-shares.ts'
import type {
  CachedSlot,
  Fetch,
  FolderCacheOptions,
  FolderCacheStats,
  FolderCacheStatus,
  FolderKey,
  FoundListing,
  GetOrFetchOptions,
  PeekedEntry,
  Validity
} from './types.ts'
import { Slot, SlotIndex } from './slot-index.ts'

/**
 * A TTL cache of folder listings. One load serves all concurrent callers. An invalidation overtakes loads in flight:
 * a load that began before it is neither cached nor joined by later callers.
 */
export class FolderCache {
  readonly #ttlMs: number
  readonly #inFlightLimit: InFlightLimit
  readonly #sizeOf: (value: unknown) => number
  readonly #validityOf: (value: unknown) => Validity | undefined
  readonly #clock: Clock
  readonly #onInvalidated: (scope: InvalidatedScope) => void
  /** The size of each entry, in the order of use of all users. */
  readonly #sizes: LRUCache<CacheEntry, number>
  /** The same entries, by user. */
  readonly #shares: UserShares<CacheEntry>
  /** The slot of each key: a cached entry, or the load that callers may still join and that may be cached. */
  readonly #index = new SlotIndex<CacheEntry | Load>()
  readonly #counters = { hits: 0, misses: 0, joins: 0, loads: 0, evictions: 0, invalidations: 0, inFlight: 0 }

  /** @throws TypeError that names an option which is not a positive integer, or a share outside (0, 1] */
  constructor(options: FolderCacheOptions) {
    this.#ttlMs = requirePositiveInteger('ttlMs', options.ttlMs)
    const max = requirePositiveInteger('max', options.max)
    const maxBytes = requirePositiveInteger('maxBytes', options.maxBytes)
    const share = requireFraction('maxSharePerUser', options.maxSharePerUser ?? 1)
    this.#shares = new UserShares(Math.max(1, Math.floor(max * share)), Math.max(1, Math.floor(maxBytes * share)))
    this.#inFlightLimit = new InFlightLimit(
      requirePositiveInteger('maxInFlightPerUser', options.maxInFlightPerUser),
      'Too many folders are being loaded for this user.'
    )
    this.#sizeOf = options.sizeOf ?? jsonSize
    this.#validityOf = options.validityOf ?? (() => undefined)
    this.#clock = options.clock
    this.#onInvalidated = options.onInvalidated ?? (() => {})
    this.#sizes = new LRUCache<CacheEntry, number>({
      max,
      maxSize: maxBytes,
      sizeCalculation: (size) => size,
      dispose: (_size, entry, reason) => {
        // The entry stays; only its size has changed.
        if (reason === 'set') return
        this.#index.delete(entry)
        this.#shares.remove(entry)
        if (reason === 'evict') this.#counters.evictions += 1
      }
    })
  }

  /**
   * Returns the cached entry, joins the load in flight, or calls `fetch`. Values are JSON values; they are frozen,
   * since later callers get the same object. A failure is never cached.
   *
   * @throws StorageError `TOO_MANY_REQUESTS` if the user has `maxInFlightPerUser` fetches in flight
   * @throws the error of `fetch`; the reason of `options.signal`
   */
  getOrFetch<T>(key: FolderKey, fetch: Fetch<T>, options: GetOrFetchOptions = {}): Promise<T> {
    const { signal, status, maxJoinAgeMs } = options
    if (typeof key.userId !== 'string' || key.userId === '') {
      return Promise.reject(new TypeError('FolderKey.userId must be a non-empty string'))
    }
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)

    const now = new Moment(this.#clock)
    const slot = this.#findUnexpired(key, now, maxJoinAgeMs)
    if (slot instanceof CacheEntry) {
      const found = this.#use(slot, now)
      if (found !== undefined) {
        const { ageMs, ttlMs } = found
        if (status !== undefined) Object.assign(status, { outcome: 'hit', ageMs, ttlMs, stored: true })
        return slot.promise as Promise<T>
      }
      this.#remove(slot)
    }

    let load: Load<T>
    if (slot instanceof Load) {
      load = slot as Load<T>
      this.#counters.joins += 1
      if (status !== undefined) status.outcome = 'join'
    } else {
      this.#counters.misses += 1
      const limitError = this.#inFlightLimit.limitError(key.userId)
      if (limitError !== undefined) return Promise.reject(limitError)
      load = this.#startLoad(key, fetch, true)
      if (status !== undefined) status.outcome = 'miss'
    }
    const promise = load.wait(signal)
    return status === undefined ? promise : this.#withStatus(promise, load, status)
  }

  /**
   * Returns the cached entry synchronously.
   *
   * @param now the current time
   */
  lookUp(key: FolderKey, now: Moment): FoundListing | undefined {
    const slot = this.#findUnexpired(key, now)
    return slot instanceof CacheEntry ? this.#use(slot, now) : undefined
  }

  /** Does the same for an entry that must be confirmed before it is used. Does not count as a use. */
  peek(key: FolderKey, now: Moment): FoundListing | undefined {
    const slot = this.#findUnexpired(key, now)
    if (!(slot instanceof CacheEntry)) return undefined
    const { value, validity } = slot
    const loadAgeMs = slot.startedAt.ageAt(now)
    const ageMs = validity === undefined ? loadAgeMs : validity.ageAt(now, loadAgeMs)
    return { key: slot.folder, value, ageMs, ttlMs: (validity?.maxAgeMs ?? slot.ttlMs) - ageMs }
  }

  /**
   * Returns the entries of a folder, also those that must be confirmed before they are used and those that have expired.
   * Does not count as a use.
   */
  peekFolder(folder: Omit<FolderKey, 'variant'>, now: Moment): PeekedEntry[] {
    const entries = this.#index.findByFolder(folder).filter((slot) => slot instanceof CacheEntry)
    return entries.map((entry) => {
      const { value, ttlMs, validity, startedAt } = entry
      const loadAgeMs = startedAt.ageAt(now)
      const ageMs = validity === undefined ? loadAgeMs : validity.ageAt(now, loadAgeMs)
      const restMs = (validity?.maxAgeMs ?? ttlMs) - ageMs
      return { key: entry.folder, value, ageMs, ttlMs: restMs, isExpired: loadAgeMs >= ttlMs }
    })
  }

  /**
   * Lets `lookUpAlias` find an entry by a text that stands for its whole key. The last alias of an entry counts, and
   * ends with it.
   *
   * @param owner what the alias rests on: only lookups with the same object find the entry
   */
  setAlias(key: FolderKey, alias: string, owner: object): void {
    const slot = this.#index.find(key)
    if (!(slot instanceof CacheEntry)) return
    this.#index.setAlias(slot, alias)
    slot.aliasOwner = owner
  }

  /** Returns the cached entry with this alias synchronously. */
  lookUpAlias(userId: string, alias: string, owner: object, now: Moment): FoundListing | undefined {
    const slot = this.#index.findAlias(userId, alias)
    return slot instanceof CacheEntry && slot.aliasOwner === owner ? this.#use(slot, now) : undefined
  }

  /**
   * Starts a fetch for later callers, unless the key has an entry or a load. It does not count towards the user's
   * limit; the caller must limit how many there are. Settles like the fetch, or rejects with the signal's reason.
   */
  async fetchAhead(key: FolderKey, fetch: Fetch<unknown>, signal: AbortSignal): Promise<void> {
    if (this.#findUnexpired(key, new Moment(this.#clock)) !== undefined) return
    await this.#startLoad(key, fetch, false).wait(signal)
  }

  /**
   * Re-measures an entry that has grown. Returns false if it is no longer cached, or would exceed `maxBytes` or the
   * user's share of it.
   */
  resize(key: FolderKey, value: unknown): boolean {
    const slot = this.#index.find(key)
    const size = this.#measure(value)
    if (!(slot instanceof CacheEntry) || slot.value !== value || !this.#shares.fits(size)) return false
    this.#shares.resize(slot, size)
    this.#evictSurplus(key.userId)
    this.#sizes.set(slot, size)
    return true
  }

  /** Drops a user's entries and loads of a provider. Returns how many. */
  invalidateProvider(userId: string, provider: string): number {
    this.#onInvalidated({ of: 'provider', userId, provider })
    return this.#drop(this.#index.findByProvider(userId, provider))
  }

  /** Drops a connection's entries and loads. Returns how many. */
  invalidateConnection(connectionId: string): number {
    this.#onInvalidated({ of: 'connection', connectionId })
    return this.dropConnection(connectionId)
  }

  /**
   * Drops a connection's entries and loads in this process only, since it has changed. Its new version makes the keys
   * of the old pages unreachable. Returns how many.
   */
  dropConnection(connectionId: string): number {
    return this.#drop(this.#index.findByConnection(connectionId))
  }

  /** Drops all variants of a folder: of one connection, or by default of all the user's. Returns how many. */
  invalidateFolder(key: Pick<FolderKey, 'userId' | 'provider' | 'folderId' | 'connectionId'>): number {
    const { userId, provider, folderId, connectionId } = key
    const folderIds = [folderId]
    // Listings are cached under the NFC form: some providers accept any form of a name for the same folder.
    const normalized = folderId?.normalize('NFC') ?? null
    if (normalized !== folderId) folderIds.push(normalized)
    return folderIds.reduce((count, each) => {
      this.#onInvalidated({ of: 'folder', userId, provider, folderId: each, connectionId })
      return count + this.#drop(this.#index.findByFolder({ ...key, folderId: each }))
    }, 0)
  }

  /** Returns the entries and loads of a connection. */
  slotsOf(connectionId: string): readonly CachedSlot[] {
    return this.#index.findByConnection(connectionId)
  }

  /** Does the same as {@link invalidateFoldersOf} in this process only: another one has invalidated the folders. */
  dropFoldersOf(slots: readonly CachedSlot[]): number {
    return slots.reduce((count, { folder }) => {
      return count + this.#drop(this.#index.findByFolder(folder))
    }, 0)
  }

  /**
   * Drops the folders of entries and loads that {@link slotsOf} has returned and that are still cached, in all their
   * variants. Returns how many.
   */
  invalidateFoldersOf(slots: readonly CachedSlot[]): number {
    const isCached = (slot: CachedSlot): boolean => (slot as CacheEntry | Load).group !== undefined
    return slots.reduce((count, slot) => (isCached(slot) ? count + this.invalidateFolder(slot.folder) : count), 0)
  }

  /** Drops everything, including loads in flight. */
  clear(): void {
    this.#onInvalidated({ of: 'all' })
    this.#drop(this.#index.all())
  }

  stats(): FolderCacheStats {
    return { entries: this.#sizes.size, bytes: this.#sizes.calculatedSize, ...this.#counters }
  }

  /**
   * Returns a key's entry or load if it has not expired. Drops it otherwise. An entry may have to be confirmed before it
   * is used.
   */
  #findUnexpired(key: FolderKey, now: Moment, maxJoinAgeMs = this.#ttlMs): CacheEntry | Load | undefined {
    const slot = this.#index.find(key)
    if (slot === undefined) return undefined
    const ttlMs = slot instanceof CacheEntry ? slot.ttlMs : Math.min(this.#ttlMs, maxJoinAgeMs)
    if (slot.startedAt.ageAt(now) < ttlMs) return slot
    this.#remove(slot)
    return undefined
  }

  /** Returns an entry, and counts the use; `undefined` if it has expired, or must be confirmed first. */
  #use(entry: CacheEntry, now: Moment): FoundListing | undefined {
    const { ttlMs, validity } = entry
    const loadAgeMs = entry.startedAt.ageAt(now)
    if (loadAgeMs >= ttlMs) return undefined
    let ageMs = loadAgeMs
    let restMs = ttlMs - loadAgeMs
    if (validity !== undefined) {
      ageMs = validity.ageAt(now, loadAgeMs)
      restMs = Math.min(restMs, validity.maxAgeMs - ageMs)
      if (restMs <= 0) return undefined
    }
    this.#counters.hits += 1
    this.#sizes.get(entry)
    this.#shares.use(entry)
    return { key: entry.folder, value: entry.value, ageMs, ttlMs: restMs }
  }

  #remove(slot: CacheEntry | Load): void {
    if (slot instanceof Load) this.#index.delete(slot)
    else this.#sizes.delete(slot)
  }

  #startLoad<T>(key: FolderKey, fetch: Fetch<T>, isCounted: boolean): Load<T> {
    const load = new Load<T>({ ...key }, new Moment(this.#clock), this.#ttlMs, (abandoned) => {
      this.#index.delete(abandoned)
    })
    // Indexed before `fetch` runs, so that an invalidation from inside `fetch` finds the load.
    this.#index.add(load)
    this.#counters.loads += 1
    this.#counters.inFlight += 1
    if (isCounted) this.#inFlightLimit.begin(load.folder.userId)
    const fetchOnce = (signal: AbortSignal): Promise<T> =>
      fetch(signal, (ageMs) => {
        load.loadedAt = new Moment(this.#clock, ageMs)
      })
    load.begin(fetchOnce, async (fetched) => {
      try {
        const value = await fetched
        this.#store(load, value)
        return value
      } finally {
        this.#index.delete(load)
        this.#counters.inFlight -= 1
        if (isCounted) this.#inFlightLimit.end(load.folder.userId)
      }
    })
    return load
  }

  #store(load: Load, value: unknown): void {
    deepFreeze(value)
    const size = this.#measure(value)
    // An invalidation, a newer load or the departure of the last caller has removed this load from the index. No
    // caller can join it any more; callers that still wait get its value.
    if (this.#index.find(load.folder) !== load) return
    const validity = this.#validityOf(value)
    const ttlMs = validity?.ttlMs ?? this.#ttlMs
    if (!this.#shares.fits(size) || load.loadedAt.ageMs(this.#clock) >= ttlMs) return
    const entry = new CacheEntry(load.folder, value, load.loadedAt, ttlMs, validity)
    load.ttlMs = Math.min(ttlMs, validity?.maxAgeMs ?? ttlMs)
    load.resultValidity = validity
    this.#index.delete(load)
    this.#index.add(entry)
    // Before `#sizes` grows, which would evict the least recently used entry of any user.
    this.#shares.add(entry, size)
    this.#evictSurplus(entry.folder.userId)
    this.#sizes.set(entry, size)
    load.stored = true
  }

  #evictSurplus(userId: string): void {
    for (
      let entry = this.#shares.evictionCandidate(userId);
      entry !== undefined;
      entry = this.#shares.evictionCandidate(userId)
    ) {
      this.#counters.evictions += 1
      this.#sizes.delete(entry)
    }
  }

  #measure(value: unknown): number {
    const size = this.#sizeOf(value)
    if (!Number.isFinite(size) || size < 0) throw new TypeError('sizeOf must return a number of bytes')
    return Math.max(1, Math.ceil(size))
  }

  #drop(slots: readonly (CacheEntry | Load)[]): number {
    for (const slot of slots) this.#remove(slot)
    this.#counters.invalidations += slots.length
    return slots.length
  }

  async #withStatus<T>(result: Promise<T>, load: Load<T>, status: FolderCacheStatus): Promise<T> {
    const value = await result
    const now = new Moment(this.#clock)
    const loadAgeMs = load.loadedAt.ageAt(now)
    // Another cache may have had the value for long, and confirmed it.
    const ageMs = Math.min(loadAgeMs, load.resultValidity?.ageAt(now, loadAgeMs) ?? loadAgeMs)
    Object.assign(status, { ageMs, ttlMs: Math.max(0, load.ttlMs - ageMs), stored: load.stored })
    return value
  }
}

/** A cached listing of a folder. */
class CacheEntry extends Slot implements UserEntry<CacheEntry> {
  readonly value: unknown
  readonly startedAt: Moment
  /** From the start of the load. */
  readonly ttlMs: number
  readonly validity: Validity | undefined
  aliasOwner: object | undefined
  /** Set and read by `UserShares`: the size in bytes, and the neighbours in the user's order of use. */
  size = 0
  lessRecent: CacheEntry | undefined
  moreRecent: CacheEntry | undefined
  #promise: Promise<unknown> | undefined

  constructor(folder: FolderKey, value: unknown, startedAt: Moment, ttlMs: number, validity: Validity | undefined) {
    super(folder)
    this.value = value
    this.startedAt = startedAt
    this.ttlMs = ttlMs
    this.validity = validity
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
class Load<T = unknown> extends Slot {
  readonly validity = undefined
  readonly startedAt: Moment
  /** Start of the load that produced the value: earlier than `startedAt` if the value comes from another cache. */
  loadedAt: Moment
  /** Lifetime of the result, in milliseconds. */
  ttlMs: number
  /** That of the result, if it was cached. */
  resultValidity: Validity | undefined
  /** True if the result was cached. */
  stored = false
  readonly #work: SharedWork<T>

  constructor(folder: FolderKey, startedAt: Moment, ttlMs: number, onAbandoned: (load: Load) => void) {
    super(folder)
    this.startedAt = startedAt
    this.loadedAt = startedAt
    this.ttlMs = ttlMs
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
function deepFreeze(value: unknown): void {
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

function requireFraction(name: string, value: number): number {
  if (!(value > 0 && value <= 1)) throw new TypeError(`${name} must be above 0 and at most 1`)
  return value
}

function requirePositiveInteger(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value <= 0) throw new TypeError(`${name} must be a positive integer`)
  return value
}
