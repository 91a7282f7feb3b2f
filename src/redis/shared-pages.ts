import { hash } from 'node:crypto'
import type { InvalidatedScope, SharedFolderKey, SharedPage, SharedTier } from '../cache/shared-tier.ts'
import { WorkInFlight } from '../core/shared-work.ts'
import type { SharedPageOutcome } from '../core/telemetry.ts'
import { type Clock, Moment, sleep } from '../core/time.ts'
import type { BytesSealer } from '../crypto/bytes-sealer.ts'
import { type RedisClient, RedisGate, UNAVAILABLE } from './gate.ts'
import { Generations } from './generations.ts'
import { PageBudget } from './page-budget.ts'
import { PageLock } from './page-lock.ts'
import { RedisRecords } from './shared-records.ts'

export interface SharedPagesOptions {
  readonly redis: RedisClient
  readonly sealer: BytesSealer
  readonly clock: Clock
  /** Lifetime of a page in milliseconds, from the start of its load. */
  readonly pageTtlMs: number
  readonly leaseMs: number
  /** The pages, and their bytes, that this process stores per user at a time. */
  readonly maxPagesPerUser: number
  readonly maxBytesPerUser: number
  readonly onOutcome: (outcome: SharedPageOutcome) => void
  readonly onUnavailable: (error: unknown) => void
  readonly onRecovered: () => void
  /** Returns a number in [0, 1). */
  readonly random: () => number
}

/** Longer pages are not shared. */
const MAX_PAGE_BYTES = 1024 * 1024
const PREFIX = 'fastify-cloud-storage:'
const MAX_RESPONSE_TIMEOUT_MS = 1_000
const MIN_RESPONSE_TIMEOUT_MS = 50
/** Share of a lease. */
const RESPONSE_TIMEOUT_SHARE = 0.4
/** Interval for polling a page that another process is loading. */
const POLL_INTERVAL_MS = 25
/** Time after which a caller stops waiting for another process, and loads the page itself. */
const MAX_WAIT_MS = 10_000
/** Stored instead of an unshared page, so that waiting processes load it themselves. Real pages are not empty. */
const NOT_SHARED_MARKER = Buffer.alloc(0)
const MARKER_TTL_MS = 2_000
const NOT_SHARED = Symbol('this page is not shared')
/** Bytes of a page in Redis besides its content: its name, the head and tag of its seal, and Redis's overhead. */
const PAGE_OVERHEAD_BYTES = 300
/**
 * Maximal difference of the clocks of two instances. A page from further in the future, or one that has been in Redis
 * for longer than its load time allows, is not used: its true age is unknown.
 */
const MAX_SKEW_MS = 1_000
/**
 * Number of generations that a user's folders at a provider share, by a hash of their ids. It bounds the memory of
 * generations, here and in Redis, however many folders a user lists. An invalidation also affects the few folders
 * with the same generation. The root has its own.
 */
const FOLDER_GENERATIONS = 256

type LookupResult = SharedPage | null | typeof NOT_SHARED | typeof UNAVAILABLE

/** Shares pages through Redis, sealed together with the time of their load, under names that reveal nothing. */
export class SharedPages implements SharedTier {
  readonly records: RedisRecords
  readonly #options: SharedPagesOptions
  readonly #gate: RedisGate
  readonly #generations: Generations
  readonly #budget: PageBudget
  readonly #background = new WorkInFlight()

  constructor(options: SharedPagesOptions) {
    const { redis, clock, leaseMs, pageTtlMs, onUnavailable, onRecovered } = options
    this.#options = options
    this.#budget = new PageBudget(options)
    // Less than half a lease: a renewal, which starts at half a lease, times out before any caller must wait for it.
    const responseTimeoutMs =
      leaseMs === 0
        ? MAX_RESPONSE_TIMEOUT_MS
        : Math.min(MAX_RESPONSE_TIMEOUT_MS, Math.max(MIN_RESPONSE_TIMEOUT_MS, leaseMs * RESPONSE_TIMEOUT_SHARE))
    this.#gate = new RedisGate({
      redis,
      responseTimeoutMs,
      clock,
      onUnavailable,
      onRecovered: () => {
        this.#generations.storePending()
        onRecovered()
      }
    })
    this.records = new RedisRecords({
      gate: this.#gate,
      sealer: options.sealer,
      clock,
      nameOf: (kind, key) => this.#nameOf(kind, key)
    })
    const nameOf = (scope: string): string => this.#nameOf('generation', scope)
    this.#generations = new Generations({
      gate: this.#gate,
      nameOf,
      clock,
      leaseMs,
      pageTtlMs,
      onBackground: (work) => {
        this.#background.add(work)
      }
    })
  }

  getGeneration({ userId, provider, folderId, connectionId }: SharedFolderKey): string | Promise<string> {
    return this.#generations.current([
      serializeScope({ of: 'all' }),
      serializeScope({ of: 'provider', userId, provider }),
      serializeScope({ of: 'connection', connectionId }),
      serializeScope({ of: 'folder', userId, provider, folderId })
    ])
  }

  invalidate(scope: InvalidatedScope): void {
    this.#generations.invalidate(serializeScope(scope))
  }

  async getOrLoad(userId: string, key: string, load: () => Promise<Buffer>, signal: AbortSignal): Promise<SharedPage> {
    const { clock, random, onOutcome } = this.#options
    const name = this.#nameOf('page', key)
    const beganAt = new Moment(clock)
    for (let polls = 0; beganAt.ageMs(clock) < MAX_WAIT_MS; polls += 1) {
      if (polls > 0) await sleep(POLL_INTERVAL_MS * (0.5 + random()), signal)
      const found = await this.#find(name)
      if (isPage(found)) {
        onOutcome(polls === 0 ? 'hit' : 'joined')
        return found
      }
      if (found === NOT_SHARED) {
        onOutcome('miss')
        return { bytes: await load(), ageMs: 0 }
      }
      if (found === UNAVAILABLE) break
      const lock = await PageLock.acquire(this.#gate, this.#nameOf('lock', key))
      if (lock === UNAVAILABLE) break
      if (lock === null) continue
      if (signal.aborted) {
        // Otherwise the lock would be extended forever.
        this.#background.add(lock.release())
        throw signal.reason
      }
      // Another process may have stored it between the last read and the lock.
      const latest = await this.#find(name)
      if (isPage(latest)) {
        this.#background.add(lock.release())
        onOutcome('joined')
        return latest
      }
      onOutcome('miss')
      return await this.#load({ userId, name }, lock, load)
    }
    onOutcome('failed')
    return { bytes: await load(), ageMs: 0 }
  }

  async flush(): Promise<void> {
    await this.#background.settled()
  }

  async close(): Promise<void> {
    await this.#background.close()
    this.#gate.close()
  }

  async #load(
    page: { readonly userId: string; readonly name: string },
    lock: PageLock,
    load: () => Promise<Buffer>
  ): Promise<SharedPage> {
    const { clock } = this.#options
    const startedAt = new Moment(clock)
    const loadedAt = clock.date()
    try {
      const bytes = await load()
      // In the background: the caller need not wait for Redis.
      this.#background.add(this.#store({ ...page, bytes, startedAt, loadedAt }).finally(() => lock.release()))
      return { bytes, ageMs: startedAt.ageMs(this.#options.clock) }
    } catch (error) {
      this.#background.add(lock.release())
      throw error
    }
  }

  async #store(page: {
    readonly userId: string
    readonly name: string
    readonly bytes: Buffer
    readonly startedAt: Moment
    readonly loadedAt: number
  }): Promise<void> {
    const { sealer, clock, pageTtlMs } = this.#options
    const { userId, name, bytes, startedAt, loadedAt } = page
    const remainingMs = Math.floor(pageTtlMs - startedAt.ageMs(clock))
    if (remainingMs <= 0) return
    const { byteLength } = bytes
    const isShared = byteLength <= MAX_PAGE_BYTES && this.#budget.tryReserve(userId, byteLength + PAGE_OVERHEAD_BYTES)
    const sealed = isShared ? sealer.seal(bytes, name, loadedAt) : sealer.seal(NOT_SHARED_MARKER, name, clock.date())
    const ttlMs = isShared ? remainingMs : Math.min(MARKER_TTL_MS, remainingMs)
    await this.#gate.run((redis) => redis.set(name, sealed, 'PX', ttlMs))
  }

  /**
   * Returns `null` for a page that cannot be opened: another application may use the same Redis, or another key ring.
   * The page's age is computed from its sealed load time. Redis's own expiry proves nothing: an attacker with write
   * access to Redis may have restored an old page.
   */
  async #find(name: string): Promise<LookupResult> {
    const { sealer, clock, pageTtlMs } = this.#options
    const found = await this.#gate.run((redis) => Promise.all([redis.getBuffer(name), redis.pttl(name)]))
    if (found === UNAVAILABLE) return UNAVAILABLE
    const [sealed, remainingMs] = found
    const opened = sealed === null || remainingMs <= 0 ? null : sealer.open(sealed, name)
    if (opened === null) return null
    const { bytes, time } = opened
    const ageMs = clock.date() - time
    if (ageMs < -MAX_SKEW_MS || ageMs >= pageTtlMs) return null
    if (bytes.byteLength === 0) return ageMs < MARKER_TTL_MS ? NOT_SHARED : null
    // Redis has one clock for all instances: a difference shows that ours is behind the loading instance's.
    if (pageTtlMs - remainingMs - ageMs > MAX_SKEW_MS) return null
    return { bytes, ageMs: Math.max(0, ageMs) }
  }

  #nameOf(kind: 'page' | 'lock' | 'generation' | 'record', value: string): string {
    return `${PREFIX}${kind}:${this.#options.sealer.deriveName(value)}`
  }
}

function isPage(found: LookupResult): found is SharedPage {
  return typeof found === 'object' && found !== null
}

/** JSON separates the parts unambiguously, whatever characters they contain. */
function serializeScope(scope: InvalidatedScope): string {
  if (scope.of === 'all') return '[]'
  if (scope.of === 'connection') return JSON.stringify([scope.of, scope.connectionId])
  if (scope.of === 'provider') return JSON.stringify([scope.of, scope.userId, scope.provider])
  return JSON.stringify([scope.of, scope.userId, scope.provider, folderGeneration(scope.folderId)])
}

function folderGeneration(folderId: string | null): number | null {
  return folderId === null ? null : Number.parseInt(hash('sha256', folderId).slice(0, 8), 16) % FOLDER_GENERATIONS
}
