import { setMaxListeners } from 'node:events'
import type { FolderCache } from '../cache/folder-cache.ts'
import type { SharedTier } from '../cache/shared-tier.ts'
import type { PeekedEntry } from '../cache/types.ts'
import type { Leases } from '../connections/leases.ts'
import type { Connection } from '../core/connection.ts'
import type { Metrics } from '../core/telemetry.ts'
import { type Clock, Moment, type Timers } from '../core/time.ts'
import { Freshness } from '../freshness/freshness.ts'
import type { Confirmation } from '../freshness/scope-feed.ts'
import { isUnchanged } from '../listing/keys.ts'
import { RenderedListing } from '../listing/rendered-listing.ts'
import { PushLoops, type PushTarget } from './push-loops.ts'

/** The name of the root in requests and events. */
export const ROOT_NAME = 'root'

/** The interval of looking at the lease and at the generations of other instances. */
const TICK_MS = 1_000
/** With `leaseMs: 0`, each look reads a row. */
const UNLEASED_TICK_MS = 10_000
/** Watched folders are checked after a random time between these, or sooner if the check interval is shorter. */
const MIN_CHECK_MS = 10_000
const MAX_CHECK_MS = 30_000
/** Least time between two events of a folder. */
const EVENT_MS = 1_000
/** Least time between two checks that announcements have caused. */
const MIN_PUSH_CHECK_MS = 2_000
/** Delays of further checks if the first after an announcement finds nothing: Graph's feed lags behind its own news. */
const FOLLOW_UP_MS = [3_000, 7_000]

export interface WatchDeps {
  readonly leases: Pick<Leases, 'find' | 'findLeased'>
  readonly leaseMs: number
  readonly cache: Pick<FolderCache, 'peekFolder'>
  readonly freshness: Freshness | null
  readonly shared: Pick<SharedTier, 'getGeneration'> | null
  readonly clock: Clock
  readonly timers: Timers
  readonly random: () => number
  readonly metrics: Pick<Metrics, 'eventSent'>
  /** The calls of all connections that wait for announcements. */
  readonly pushes: { count: number }
}

export interface WatchListener {
  /** @param folder as the request named it */
  readonly onChanged: (folder: string) => void
  /** The connection was changed or removed, or cannot be confirmed. No event follows. */
  readonly onEnded: () => void
}

/** What one client watches. */
interface Subscription {
  readonly listener: WatchListener
  /** The requested names of each folder. */
  readonly names: ReadonlyMap<WatchedFolder, ReadonlySet<string>>
}

class WatchedFolder {
  /** In NFC, as invalidations name it; `null`: the root. */
  readonly folderId: string | null
  /** A page was cached since the last event, or may have been before the watch. Without one, nothing can expire. */
  hasPage = true
  /** The entity tags of the pages that were current at the last check, by variant. An event clears them. */
  readonly etags = new Map<string | undefined, string>()
  /** Pages that earlier checks have found. */
  readonly seen = new WeakSet<RenderedListing>()
  /** `null`: not read yet. */
  generation: string | null = null
  /** Cancels the time after an event in which no other may follow. */
  cancelPause: (() => void) | null = null
  /** An event follows at the end of the pause. */
  isPending = false

  constructor(folderId: string | null) {
    this.folderId = folderId
  }
}

/** The watched folders of one connection, in one of its versions. All clients share its checks. */
export class ConnectionWatch {
  readonly connection: Connection
  readonly #deps: WatchDeps
  readonly #onIdle: () => void
  readonly #folders = new Map<string | null, WatchedFolder>()
  readonly #subscriptions = new Set<Subscription>()
  readonly #controller = new AbortController()
  readonly #pushes: PushLoops
  #cancelTick: () => void
  #cancelPushCheck: (() => void) | null = null
  #confirmedAt: Moment
  #checkedAt: Moment
  #checkMs: number
  #isChecking = false
  /** The latest check that an announcement has caused. */
  #pushCheckedAt: Moment | null = null
  #changes = 0

  /** @param onIdle called once, when the watch has ended: with its last client, or by itself */
  constructor(connection: Connection, deps: WatchDeps, onIdle: () => void) {
    this.connection = connection
    // Each page that is being confirmed listens.
    setMaxListeners(0, this.#controller.signal)
    this.#deps = deps
    this.#onIdle = onIdle
    this.#pushes = new PushLoops({
      ...deps,
      total: deps.pushes,
      onAnnounced: () => {
        this.#onAnnounced()
      }
    })
    this.#confirmedAt = this.#checkedAt = this.#now()
    this.#checkMs = this.#randomCheckMs()
    this.#cancelTick = deps.timers.after(TICK_MS, this.#tick)
  }

  get #isEnded(): boolean {
    return this.#controller.signal.aborted
  }

  /** Adds a client. Returns a function that removes it, without a call of `onEnded`. */
  add(folders: readonly string[], listener: WatchListener): () => void {
    const names = new Map<WatchedFolder, Set<string>>()
    for (const name of folders) {
      const folder = this.#useFolder(name)
      const known = names.get(folder)
      if (known === undefined) names.set(folder, new Set([name]))
      else known.add(name)
    }
    const subscription = { listener, names }
    this.#subscriptions.add(subscription)
    return () => {
      if (!this.#subscriptions.delete(subscription)) return
      this.#dropUnwatchedFolders()
      if (this.#subscriptions.size === 0) this.end()
    }
  }

  /** A folder may have changed; `undefined`: all of them. */
  onInvalidated(folderId: string | null | undefined): void {
    if (folderId === undefined) for (const folder of this.#folders.values()) this.#announce(folder)
    else {
      // Of a name in another form, the cache invalidates the NFC form too: one event is enough.
      const folder = this.#folders.get(folderId === ROOT_NAME ? null : folderId)
      if (folder !== undefined) this.#announce(folder)
    }
  }

  /** Ends the watch and the streams of all clients. */
  end(): void {
    if (this.#isEnded) return
    this.#controller.abort()
    this.#cancelTick()
    this.#cancelPushCheck?.()
    this.#pushes.end()
    for (const folder of this.#folders.values()) folder.cancelPause?.()
    this.#folders.clear()
    const subscriptions = [...this.#subscriptions]
    this.#subscriptions.clear()
    this.#onIdle()
    for (const { listener } of subscriptions) listener.onEnded()
  }

  #useFolder(name: string): WatchedFolder {
    const key = keyOf(name)
    const known = this.#folders.get(key)
    if (known !== undefined) return known
    const folder = new WatchedFolder(key)
    this.#folders.set(key, folder)
    this.#compareGeneration(folder)
    return folder
  }

  #dropUnwatchedFolders(): void {
    for (const [key, folder] of this.#folders) {
      if ([...this.#subscriptions].some(({ names }) => names.has(folder))) continue
      folder.cancelPause?.()
      this.#folders.delete(key)
    }
  }

  // Bound, for use as a callback.
  readonly #tick = (): void => {
    const { timers, clock, leaseMs } = this.#deps
    this.#cancelTick = timers.after(TICK_MS, this.#tick)
    if (leaseMs > 0 || this.#confirmedAt.ageMs(clock) >= UNLEASED_TICK_MS) this.#whenConfirmed(() => {})
    if (this.#isEnded) return
    for (const folder of this.#folders.values()) this.#compareGeneration(folder)
    this.#pushes.update(this.#pushTargets())
    if (!this.#isChecking && this.#checkedAt.ageMs(clock) >= this.#checkMs) void this.#check()
  }

  /** Runs `run` if the connection is unchanged: in this turn if it is leased. Ends the watch otherwise. */
  #whenConfirmed(run: () => void): void {
    const { leases, clock } = this.#deps
    const { id, userId, provider } = this.connection
    const use = (current: Connection | null): void => {
      if (this.#isEnded) return
      this.#confirmedAt = new Moment(clock)
      if (current !== null && isUnchanged(current, this.connection)) run()
      else this.end()
    }
    const leased = leases.findLeased({ userId, provider, connectionId: id })
    if (leased !== undefined) use(leased)
    else {
      leases.find(userId, id).then(use, () => {
        this.end()
      })
    }
  }

  /** A new generation is an invalidation by another instance. */
  #compareGeneration(folder: WatchedFolder): void {
    const use = (generation: string): void => {
      const previous = folder.generation
      folder.generation = generation
      if (previous !== null && previous !== generation) this.#announce(folder)
    }
    const generation = this.#generationOf(folder)
    if (generation instanceof Promise) generation.then(use, () => {})
    else if (generation !== null) use(generation)
  }

  #generationOf({ folderId }: WatchedFolder): string | Promise<string> | null {
    const { id: connectionId, userId, provider } = this.connection
    return this.#deps.shared?.getGeneration({ userId, provider, connectionId, folderId }) ?? null
  }

  /** Sends an event, now or at the end of the pause after the previous one. */
  #announce(folder: WatchedFolder): void {
    if (this.#folders.get(folder.folderId) !== folder) return
    this.#changes += 1
    folder.hasPage = false
    folder.etags.clear()
    // An invalidation by this instance has begun a generation too, which must not cause a second event.
    const generation = this.#generationOf(folder)
    if (typeof generation === 'string') folder.generation = generation
    if (folder.cancelPause === null) this.#send(folder)
    else folder.isPending = true
  }

  #send(folder: WatchedFolder): void {
    const { timers, metrics } = this.#deps
    folder.isPending = false
    folder.cancelPause = timers.after(EVENT_MS, () => {
      folder.cancelPause = null
      if (folder.isPending) this.#send(folder)
    })
    this.#whenConfirmed(() => {
      // A listener may remove itself.
      for (const { listener, names } of [...this.#subscriptions]) {
        for (const name of names.get(folder) ?? []) {
          metrics.eventSent(this.connection.provider)
          listener.onChanged(name)
        }
      }
    })
  }

  /**
   * Confirms the cached pages of the watched folders. Changes drop pages, and thereby cause events.
   *
   * @param checkMs scopes that were checked less than this ago are not checked again; default: the check interval
   */
  async #check(checkMs?: number): Promise<void> {
    const { freshness } = this.#deps
    this.#isChecking = true
    this.#checkedAt = this.#now()
    this.#checkMs = this.#randomCheckMs()
    let dueMs = Infinity
    const outcomes = new Map<unknown, Confirmation>()
    const confirmations: Promise<void>[] = []
    for (const { value, ttlMs, isExpired } of this.#allPages()) {
      const coverage = Freshness.coverageOf(value)
      if (coverage === undefined || isExpired || freshness === null) continue
      if (checkMs === undefined && ttlMs > 0) {
        dueMs = Math.min(dueMs, ttlMs)
        continue
      }
      const confirm = async (): Promise<void> => {
        const confirmation = freshness.confirm(coverage, this.#controller.signal, checkMs)
        outcomes.set(coverage, await confirmation.catch(() => 'failed' as const))
      }
      confirmations.push(confirm())
    }
    await Promise.all(confirmations)
    this.#isChecking = false
    if (this.#isEnded) return
    // Readers have checked the scope meanwhile: the next check is due before the random time.
    if (confirmations.length === 0 && dueMs < this.#checkMs) this.#checkMs = dueMs + this.#deps.random() * 2_000
    for (const folder of this.#folders.values()) this.#review(folder, outcomes)
  }

  /** Announces a folder if a page has expired, or was replaced by one with other content, since the last event. */
  #review(folder: WatchedFolder, outcomes: ReadonlyMap<unknown, Confirmation>): void {
    const current = new Map<string | undefined, string>()
    for (const { key, value, ttlMs, isExpired } of this.#pagesOf(folder)) {
      if (!(value instanceof RenderedListing)) continue
      if (!folder.seen.has(value)) {
        folder.seen.add(value)
        folder.hasPage = true
      }
      // While the provider is unavailable, clients would be refused.
      const isUsable = ttlMs > 0 || outcomes.get(value.coverage) === 'failed'
      if (!isExpired && isUsable) current.set(key.variant, value.identity.etag)
    }
    const isReplaced = [...folder.etags].some(([variant, etag]) => current.get(variant) !== etag)
    if (isReplaced || (current.size === 0 && folder.hasPage)) this.#announce(folder)
    else for (const [variant, etag] of current) folder.etags.set(variant, etag)
  }

  #onAnnounced(): void {
    if (this.#isEnded) return
    const sinceMs = this.#pushCheckedAt?.ageMs(this.#deps.clock) ?? Infinity
    this.#schedulePushCheck(Math.max(0, MIN_PUSH_CHECK_MS - sinceMs), FOLLOW_UP_MS)
  }

  #schedulePushCheck(delayMs: number, [nextMs, ...laterMs]: readonly number[]): void {
    this.#cancelPushCheck?.()
    const run = (): void => {
      this.#pushCheckedAt = this.#now()
      const changes = this.#changes
      if (nextMs !== undefined) {
        this.#cancelPushCheck = this.#deps.timers.after(nextMs, () => {
          if (this.#changes === changes) this.#schedulePushCheck(0, laterMs)
        })
      }
      void this.#check(0)
    }
    if (delayMs > 0) this.#cancelPushCheck = this.#deps.timers.after(delayMs, run)
    else run()
  }

  /** Returns where announcements concern the cached pages: each scope, and the mark of each client's first folder. */
  #pushTargets(): PushTarget[] {
    const first = new Set([...this.#subscriptions].map(({ names }) => names.keys().next().value))
    const targets = new Map<string, PushTarget>()
    for (const folder of this.#folders.values()) {
      for (const { value, isExpired } of this.#pagesOf(folder)) {
        const coverage = Freshness.coverageOf(value)
        if (coverage === undefined || isExpired) continue
        const { scope, mark, feeds } = coverage
        const isMark = scope === null
        const key = isMark ? `mark ${mark}` : `scope ${scope}`
        if (targets.has(key) || (isMark && !first.has(folder))) continue
        const freshness = scope === null ? mark !== null && { mark } : mark === null ? { scope } : { scope, mark }
        if (freshness !== false) targets.set(key, { key, isMark, freshness, open: feeds.open })
      }
    }
    return [...targets.values()]
  }

  #allPages(): PeekedEntry[] {
    return [...this.#folders.values()].flatMap((folder) => this.#pagesOf(folder))
  }

  #pagesOf({ folderId }: WatchedFolder): PeekedEntry[] {
    const { id: connectionId, userId, provider } = this.connection
    const now = this.#now()
    const ids = folderId === null ? [null, ROOT_NAME] : [folderId]
    return ids.flatMap((id) => this.#deps.cache.peekFolder({ userId, provider, connectionId, folderId: id }, now))
  }

  #randomCheckMs(): number {
    const intervalMs = this.#deps.freshness?.checkMsOf(this.connection.provider) ?? Infinity
    const minMs = Math.min(MIN_CHECK_MS, (intervalMs * 2) / 3)
    return minMs + this.#deps.random() * (Math.min(MAX_CHECK_MS, intervalMs * 2) - minMs)
  }

  #now(): Moment {
    return new Moment(this.#deps.clock)
  }
}

/** Some providers know the root by its name too. */
function keyOf(name: string): string | null {
  return name === ROOT_NAME ? null : name.normalize('NFC')
}
