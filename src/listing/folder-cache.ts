import { LRUCache } from 'lru-cache'
import { StorageError } from '../domain/errors.ts'
import { Moment } from '../domain/moment.ts'
import type { Clock } from '../domain/ports.ts'
import type { InvalidatedScope } from '../domain/shared-tier.ts'
import type {
  Fetch,
  FolderCacheOptions,
  FolderCacheStats,
  FolderCacheStatus,
  GetOrFetchOptions
} from './folder-cache-options.ts'
import { deepFreeze } from './freeze.ts'
import { type FolderKey, folderKeyText } from './folder-key.ts'
import { Load } from './load.ts'
import { type Slot, SlotIndex } from './slot-index.ts'

interface Kept extends Slot {
  readonly key: string
  readonly value: unknown
  readonly startedAt: Moment
}

/**
 * Keeps folder listings for a while. One load serves all who wait for it, and an invalidation overtakes loads in
 * flight: what began before it is neither kept nor given to anyone who comes after it.
 */
export class FolderCache {
  readonly #ttlMs: number
  readonly #maxBytes: number
  readonly #maxInFlightPerUser: number
  readonly #sizeOf: (value: unknown) => number
  readonly #clock: Clock
  readonly #onInvalidated: (scope: InvalidatedScope) => void
  readonly #kept: LRUCache<string, Kept>
  /** The one load per key that may still be joined, and whose result may be kept. */
  readonly #loads = new Map<string, Load>()
  readonly #index = new SlotIndex<Kept | Load>()
  readonly #inFlight = new Map<string, number>()
  readonly #count = { hits: 0, misses: 0, joins: 0, loads: 0, evictions: 0, invalidations: 0, inFlight: 0 }

  /** @throws TypeError that names the option, unless each is a positive integer */
  constructor(options: FolderCacheOptions) {
    this.#ttlMs = positive('ttlMs', options.ttlMs)
    this.#maxBytes = positive('maxBytes', options.maxBytes)
    this.#maxInFlightPerUser = positive('maxInFlightPerUser', options.maxInFlightPerUser)
    this.#sizeOf = options.sizeOf ?? jsonSize
    this.#clock = options.clock
    this.#onInvalidated = options.onInvalidated ?? (() => {})
    this.#kept = new LRUCache<string, Kept>({
      max: positive('max', options.max),
      maxSize: this.#maxBytes,
      dispose: (kept, _key, reason) => {
        this.#index.delete(kept)
        if (reason === 'evict') this.#count.evictions += 1
      }
    })
  }

  /**
   * The kept value, or what a fetch in flight will bring, or what `fetch` brings now. Values are JSON values; they
   * are frozen, since the next caller gets the same object. A failure is never kept.
   *
   * @throws StorageError `TOO_MANY_REQUESTS` when the user has `maxInFlightPerUser` fetches in flight
   * @throws what `fetch` threw; the reason of `options.signal`
   */
  getOrFetch<T>(key: FolderKey, fetch: Fetch<T>, options: GetOrFetchOptions = {}): Promise<T> {
    const { signal, status } = options
    if (typeof key.userId !== 'string' || key.userId === '') {
      return Promise.reject(new TypeError('FolderKey.userId must be a non-empty string'))
    }
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)

    const text = folderKeyText(key)
    const kept = this.#kept.get(text)
    if (kept !== undefined) {
      const ageMs = kept.startedAt.ageMs(this.#clock)
      if (ageMs < this.#ttlMs) {
        this.#count.hits += 1
        if (status !== undefined) {
          Object.assign(status, { outcome: 'hit', ageMs, ttlMs: this.#ttlMs - ageMs, stored: true })
        }
        return Promise.resolve(kept.value as T)
      }
      this.#kept.delete(text)
    }

    let load = this.#loads.get(text) as Load<T> | undefined
    if (load !== undefined && load.startedAt.ageMs(this.#clock) < this.#ttlMs) {
      this.#count.joins += 1
      if (status !== undefined) status.outcome = 'join'
    } else {
      this.#count.misses += 1
      if (load !== undefined) this.#retire(load)
      if ((this.#inFlight.get(key.userId) ?? 0) >= this.#maxInFlightPerUser) {
        return Promise.reject(
          new StorageError('TOO_MANY_REQUESTS', 'Too many folders are being loaded for this user.', {
            retryAfterMs: 1000
          })
        )
      }
      load = this.#begin(text, key, fetch)
      if (status !== undefined) status.outcome = 'miss'
    }
    const answer = load.wait(signal)
    return status === undefined ? answer : this.#describe(answer, load, status)
  }

  /** Drops all that is kept or in flight of a user at a provider. Returns how many. */
  invalidateProvider(userId: string, provider: string): number {
    this.#onInvalidated({ of: 'provider', userId, provider })
    return this.#drop(this.#index.ofProvider(userId, provider))
  }

  /** Drops all that is kept or in flight of a connection. Returns how many. */
  invalidateConnection(connectionId: string): number {
    this.#onInvalidated({ of: 'connection', connectionId })
    return this.dropConnection(connectionId)
  }

  /**
   * The same in this process alone: for a connection that has changed, whose pages nobody looks for any more under the
   * version that they were listed for. Returns how many.
   */
  dropConnection(connectionId: string): number {
    return this.#drop(this.#index.ofConnection(connectionId))
  }

  /** Drops every variant of a folder: of one connection, or without `connectionId` of all the user's. Returns how many. */
  invalidateFolder(key: Pick<FolderKey, 'userId' | 'provider' | 'folderId' | 'connectionId'>): number {
    const { userId, provider, folderId } = key
    this.#onInvalidated({ of: 'folder', userId, provider, folderId })
    return this.#drop(this.#index.ofFolder(key))
  }

  /** Drops everything, loads in flight included. */
  clear(): void {
    this.#onInvalidated({ of: 'all' })
    this.#drop([...this.#kept.values(), ...this.#loads.values()])
  }

  stats(): FolderCacheStats {
    return { entries: this.#kept.size, bytes: this.#kept.calculatedSize, ...this.#count }
  }

  #begin<T>(text: string, key: FolderKey, fetch: Fetch<T>): Load<T> {
    const folder = { ...key }
    const load = new Load<T>(text, folder, new Moment(this.#clock), (left) => {
      this.#retire(left)
    })
    // Known before `fetch` runs, so that an invalidation from inside it finds the load.
    this.#loads.set(text, load)
    this.#index.add(load)
    this.#count.loads += 1
    this.#count.inFlight += 1
    this.#inFlight.set(folder.userId, (this.#inFlight.get(folder.userId) ?? 0) + 1)
    const fetchOnce = (signal: AbortSignal): Promise<T> =>
      fetch(signal, (ageMs) => {
        load.loadedAt = new Moment(this.#clock, ageMs)
      })
    load.begin(fetchOnce, async (fetched) => {
      try {
        const value = await fetched
        this.#keep(load, value)
        return value
      } finally {
        this.#end(load)
      }
    })
    return load
  }

  #keep(load: Load, value: unknown): void {
    deepFreeze(value)
    const size = this.#sizeOf(value)
    if (!Number.isFinite(size) || size < 0) throw new TypeError('sizeOf must return a number of bytes')
    // The fence: an invalidation, a younger load or the last caller's leaving has taken this load's place away.
    if (this.#loads.get(load.key) !== load) return
    if (size > this.#maxBytes || load.loadedAt.ageMs(this.#clock) >= this.#ttlMs) return
    const kept: Kept = { key: load.key, folder: load.folder, value, startedAt: load.loadedAt }
    this.#kept.set(load.key, kept, { size: Math.max(1, Math.ceil(size)) })
    this.#index.add(kept)
    load.stored = true
  }

  #end(load: Load): void {
    this.#retire(load)
    this.#count.inFlight -= 1
    const { userId } = load.folder
    const left = (this.#inFlight.get(userId) ?? 1) - 1
    if (left === 0) this.#inFlight.delete(userId)
    else this.#inFlight.set(userId, left)
  }

  /** From now on nobody joins this load, and its result is not kept. Those who wait still get their answer. */
  #retire(load: Load): void {
    this.#index.delete(load)
    if (this.#loads.get(load.key) === load) this.#loads.delete(load.key)
  }

  #drop(slots: readonly (Kept | Load)[]): number {
    for (const slot of slots) {
      if (slot instanceof Load) this.#retire(slot)
      else this.#kept.delete(slot.key)
    }
    this.#count.invalidations += slots.length
    return slots.length
  }

  async #describe<T>(answer: Promise<T>, load: Load<T>, status: FolderCacheStatus): Promise<T> {
    const value = await answer
    const ageMs = load.loadedAt.ageMs(this.#clock)
    Object.assign(status, { ageMs, ttlMs: Math.max(0, this.#ttlMs - ageMs), stored: load.stored })
    return value
  }
}

function positive(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value <= 0) throw new TypeError(`${name} must be a positive integer`)
  return value
}

/** The length of the JSON text in bytes of UTF-8. */
export function jsonSize(value: unknown): number {
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError('Only JSON values can be cached')
  return Buffer.byteLength(json)
}
