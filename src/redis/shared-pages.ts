import { hash } from 'node:crypto'
import type {
  InvalidatedScope,
  SharedFolderKey,
  SharedPage,
  SharedPageRules,
  SharedTier
} from '../cache/shared-tier.ts'
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
  /** Lifetime of a covered page. Default: the same. */
  readonly coveredTtlMs?: number
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

/** Part of the names of pages. Instances of another version of the format have other pages. */
const PAGE_FORMAT = 'format 2'
/** Before the content of a page: its lifetime in milliseconds. */
const LIFETIME_BYTES = 8

interface FoundPage {
  readonly sealed: Buffer
  readonly bytes: Buffer
  readonly loadedAt: Moment
}
type LookupResult = FoundPage | null | typeof NOT_SHARED | typeof UNAVAILABLE

const ACCEPT_ALL: SharedPageRules = { isCovered: () => false, accepts: () => Promise.resolve(true) }

/** Shares pages through Redis, sealed together with the time of their load, under names that reveal nothing. */
export class SharedPages implements SharedTier {
  readonly records: RedisRecords
  readonly #options: SharedPagesOptions
  readonly #gate: RedisGate
  readonly #generations: Generations
  readonly #budget: PageBudget
  readonly #coveredTtlMs: number
  readonly #background = new WorkInFlight()

  constructor(options: SharedPagesOptions) {
    const { redis, clock, leaseMs, pageTtlMs, onUnavailable, onRecovered } = options
    this.#options = options
    this.#coveredTtlMs = options.coveredTtlMs ?? pageTtlMs
    this.#budget = new PageBudget({ ...options, coveredTtlMs: this.#coveredTtlMs })
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
      pageTtlMs: Math.max(pageTtlMs, this.#coveredTtlMs),
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

  async getOrLoad(
    userId: string,
    key: string,
    load: () => Promise<Buffer>,
    signal: AbortSignal,
    rules: SharedPageRules = ACCEPT_ALL
  ): Promise<SharedPage> {
    const { clock, random, onOutcome } = this.#options
    const name = this.#nameOf('page', `${PAGE_FORMAT} ${key}`)
    let rejected: Buffer | undefined
    /** Each page is judged once, also while another process replaces it. */
    const accept = async (found: LookupResult): Promise<SharedPage | null> => {
      if (!isPage(found) || rejected?.equals(found.sealed) === true) return null
      const { bytes, loadedAt } = found
      if (!(await rules.accepts({ bytes, ageMs: loadedAt.ageMs(clock) }))) {
        rejected = found.sealed
        return null
      }
      return { bytes, ageMs: loadedAt.ageMs(clock) }
    }
    const beganAt = new Moment(clock)
    for (let polls = 0; beganAt.ageMs(clock) < MAX_WAIT_MS; polls += 1) {
      if (polls > 0) await sleep(POLL_INTERVAL_MS * (0.5 + random()), signal)
      const found = await this.#find(name)
      const accepted = await accept(found)
      if (accepted !== null) {
        onOutcome(polls === 0 ? 'hit' : 'joined')
        return accepted
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
      const latest = await this.#acceptUnderLock(name, lock, accept)
      if (latest !== null) {
        this.#background.add(lock.release())
        onOutcome('joined')
        return latest
      }
      onOutcome('miss')
      return await this.#load({ userId, name, rules }, lock, load)
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

  async #acceptUnderLock(
    name: string,
    lock: PageLock,
    accept: (found: LookupResult) => Promise<SharedPage | null>
  ): Promise<SharedPage | null> {
    try {
      return await accept(await this.#find(name))
    } catch (error) {
      this.#background.add(lock.release())
      throw error
    }
  }

  async #load(
    page: { readonly userId: string; readonly name: string; readonly rules: SharedPageRules },
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
    readonly rules: SharedPageRules
    readonly bytes: Buffer
    readonly startedAt: Moment
    readonly loadedAt: number
  }): Promise<void> {
    const { sealer, clock } = this.#options
    const { name, bytes, startedAt, loadedAt } = page
    const ttlMs = this.#reserve(page)
    const remainingMs = Math.floor((ttlMs ?? this.#options.pageTtlMs) - startedAt.ageMs(clock))
    if (remainingMs <= 0) return
    if (ttlMs === null) {
      const marker = sealer.seal(NOT_SHARED_MARKER, name, clock.date())
      await this.#gate.run((redis) => redis.set(name, marker, 'PX', Math.min(MARKER_TTL_MS, remainingMs)))
      return
    }
    const lifetime = Buffer.alloc(LIFETIME_BYTES)
    lifetime.writeDoubleBE(ttlMs)
    const sealed = sealer.seal(Buffer.concat([lifetime, bytes]), name, loadedAt)
    await this.#gate.run((redis) => redis.set(name, sealed, 'PX', remainingMs))
  }

  /** Returns the lifetime of a page that may be stored, `null` for any other. */
  #reserve(page: { readonly userId: string; readonly bytes: Buffer; readonly rules: SharedPageRules }): number | null {
    const { userId, bytes, rules } = page
    const { pageTtlMs } = this.#options
    if (bytes.byteLength === 0 || bytes.byteLength > MAX_PAGE_BYTES) return null
    const size = bytes.byteLength + PAGE_OVERHEAD_BYTES
    if (this.#coveredTtlMs > pageTtlMs && rules.isCovered(bytes) && this.#budget.tryReserve(userId, size, true)) {
      return this.#coveredTtlMs
    }
    return this.#budget.tryReserve(userId, size) ? pageTtlMs : null
  }

  /**
   * Returns `null` for a page that cannot be opened: another application may use the same Redis, or another key ring.
   * The page's age is computed from its sealed load time. Redis's own expiry proves nothing: an attacker with write
   * access to Redis may have restored an old page.
   */
  async #find(name: string): Promise<LookupResult> {
    const { sealer, clock, pageTtlMs } = this.#options
    const longestMs = Math.max(pageTtlMs, this.#coveredTtlMs)
    const found = await this.#gate.run((redis) => Promise.all([redis.getBuffer(name), redis.pttl(name)]))
    if (found === UNAVAILABLE) return UNAVAILABLE
    const [sealed, remainingMs] = found
    const opened = sealed === null || remainingMs <= 0 ? null : sealer.open(sealed, name)
    if (opened === null) return null
    const { bytes, time } = opened
    const ageMs = clock.date() - time
    if (sealed === null || ageMs < -MAX_SKEW_MS) return null
    if (bytes.byteLength === 0) return ageMs < MARKER_TTL_MS ? NOT_SHARED : null
    const ttlMs = bytes.byteLength < LIFETIME_BYTES ? 0 : bytes.readDoubleBE()
    if (ageMs >= ttlMs || ttlMs > longestMs) return null
    // Redis has one clock for all instances: a difference shows that ours is behind the loading instance's.
    if (ttlMs - remainingMs - ageMs > MAX_SKEW_MS) return null
    return { sealed, bytes: bytes.subarray(LIFETIME_BYTES), loadedAt: new Moment(clock, Math.max(0, ageMs)) }
  }

  #nameOf(kind: 'page' | 'lock' | 'generation' | 'record', value: string): string {
    return `${PREFIX}${kind}:${this.#options.sealer.deriveName(value)}`
  }
}

function isPage(found: LookupResult): found is FoundPage {
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
