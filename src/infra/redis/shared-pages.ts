import type { SharedPageOutcome } from '../../domain/metrics.ts'
import { Moment } from '../../domain/moment.ts'
import type { Clock } from '../../domain/ports.ts'
import type { InvalidatedScope, SharedFolder, SharedPage, SharedTier } from '../../domain/shared-tier.ts'
import { sleep } from '../../domain/sleep.ts'
import type { BytesSealer } from '../crypto/bytes-sealer.ts'
import { Generations } from './generations.ts'
import { PageLock } from './page-lock.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisGate, UNAVAILABLE } from './redis-gate.ts'

export interface SharedPagesOptions {
  readonly redis: RedisClient
  readonly sealer: BytesSealer
  readonly clock: Clock
  /** How long a page lives, in milliseconds from the start of its load. */
  readonly pageMs: number
  readonly leaseMs: number
  readonly onOutcome: (outcome: SharedPageOutcome) => void
  readonly onTrouble: (error: unknown) => void
  readonly onRecovered: () => void
  /** Between 0 and 1. */
  readonly random: () => number
}

/** A page that is longer is every process's own. */
const MAX_PAGE_BYTES = 1024 * 1024
const PREFIX = 'fastify-cloud-storage:'
const MAX_ANSWER_MS = 1_000
const MIN_ANSWER_MS = 50
/** Of a lease. */
const ANSWER_SHARE = 0.4
/** So often it is looked whether a page is there that another process loads. */
const LOOK_MS = 25
/** Whoever has waited so long for another process loads for itself. */
const PATIENCE_MS = 10_000
/** What stands in Redis for a page that is too long, for those who wait at that moment: no page is empty. */
const MARK = Buffer.alloc(0)
const MARK_MS = 2_000
const TOO_LONG = Symbol('too long to be shared')

type Found = SharedPage | null | typeof TOO_LONG | typeof UNAVAILABLE

/** Pages in Redis, sealed, under names that tell nothing. */
export class SharedPages implements SharedTier {
  readonly #options: SharedPagesOptions
  readonly #gate: RedisGate
  readonly #generations: Generations
  readonly #storing = new Set<Promise<unknown>>()

  constructor(options: SharedPagesOptions) {
    const { redis, clock, leaseMs, pageMs, onTrouble, onRecovered } = options
    this.#options = options
    // What is renewed ahead of time, at half of a lease, is given up before anybody would have to wait for it.
    const answerMs =
      leaseMs === 0 ? MAX_ANSWER_MS : Math.min(MAX_ANSWER_MS, Math.max(MIN_ANSWER_MS, leaseMs * ANSWER_SHARE))
    this.#gate = new RedisGate({
      redis,
      answerMs,
      clock,
      onTrouble,
      onRecovered: () => {
        this.#generations.tellOwed()
        onRecovered()
      }
    })
    const nameOf = (scope: string): string => this.#nameOf('generation', scope)
    this.#generations = new Generations({ gate: this.#gate, nameOf, clock, leaseMs, pageMs })
  }

  generation({ userId, provider, folderId, connectionId }: SharedFolder): string | Promise<string> {
    return this.#generations.current([
      scopeText({ of: 'all' }),
      scopeText({ of: 'provider', userId, provider }),
      scopeText({ of: 'connection', connectionId }),
      scopeText({ of: 'folder', userId, provider, folderId })
    ])
  }

  invalidate(scope: InvalidatedScope): void {
    this.#generations.raise(scopeText(scope))
  }

  async page(key: string, load: () => Promise<Buffer>, signal: AbortSignal): Promise<SharedPage> {
    const { clock, random, onOutcome } = this.#options
    const name = this.#nameOf('page', key)
    const beganAt = new Moment(clock)
    for (let looks = 0; beganAt.ageMs(clock) < PATIENCE_MS; looks += 1) {
      if (looks > 0) await sleep(LOOK_MS * (0.5 + random()), signal)
      const found = await this.#find(name)
      if (isPage(found)) {
        onOutcome(looks === 0 ? 'hit' : 'joined')
        return found
      }
      if (found === TOO_LONG) {
        onOutcome('miss')
        return { bytes: await load(), ageMs: 0 }
      }
      if (found === UNAVAILABLE) break
      const lock = await PageLock.take(this.#gate, this.#nameOf('lock', key))
      if (lock === UNAVAILABLE) break
      if (lock === null) continue
      if (signal.aborted) {
        // Else it would be renewed for ever, for nobody.
        this.#later(lock.release())
        throw signal.reason
      }
      // It may have come between the look and the lock.
      const latest = await this.#find(name)
      if (isPage(latest)) {
        this.#later(lock.release())
        onOutcome('joined')
        return latest
      }
      onOutcome('miss')
      return await this.#load(name, lock, load)
    }
    onOutcome('failed')
    return { bytes: await load(), ageMs: 0 }
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#storing])
  }

  async #load(name: string, lock: PageLock, load: () => Promise<Buffer>): Promise<SharedPage> {
    const startedAt = new Moment(this.#options.clock)
    try {
      const bytes = await load()
      // Nobody waits here for what others wait for.
      this.#later(this.#store(name, bytes, startedAt).finally(() => lock.release()))
      return { bytes, ageMs: startedAt.ageMs(this.#options.clock) }
    } catch (error) {
      this.#later(lock.release())
      throw error
    }
  }

  async #store(name: string, bytes: Buffer, startedAt: Moment): Promise<void> {
    const { sealer, clock, pageMs } = this.#options
    const leftMs = Math.floor(pageMs - startedAt.ageMs(clock))
    if (leftMs <= 0) return
    const isTooLong = bytes.byteLength > MAX_PAGE_BYTES
    const sealed = sealer.seal(isTooLong ? MARK : bytes, name)
    const keptMs = isTooLong ? Math.min(MARK_MS, leftMs) : leftMs
    await this.#gate.run((redis) => redis.set(name, sealed, 'PX', keptMs))
  }

  /** A page that cannot be opened is none: another application may be at the same Redis, or another key ring. */
  async #find(name: string): Promise<Found> {
    const { sealer, pageMs } = this.#options
    const found = await this.#gate.run((redis) => Promise.all([redis.getBuffer(name), redis.pttl(name)]))
    if (found === UNAVAILABLE) return UNAVAILABLE
    const [sealed, leftMs] = found
    const bytes = sealed === null || leftMs <= 0 ? null : sealer.open(sealed, name)
    if (bytes === null) return null
    return bytes.byteLength === 0 ? TOO_LONG : { bytes, ageMs: Math.max(0, pageMs - leftMs) }
  }

  #nameOf(kind: 'page' | 'lock' | 'generation', what: string): string {
    return `${PREFIX}${kind}:${this.#options.sealer.hide(what)}`
  }

  #later(work: Promise<unknown>): void {
    const settled = work.catch(() => {})
    this.#storing.add(settled)
    void settled.finally(() => this.#storing.delete(settled))
  }
}

function isPage(found: Found): found is SharedPage {
  return typeof found === 'object' && found !== null
}

/** JSON keeps the parts apart, whatever characters they hold. */
function scopeText(scope: InvalidatedScope): string {
  if (scope.of === 'all') return '[]'
  if (scope.of === 'connection') return JSON.stringify([scope.of, scope.connectionId])
  if (scope.of === 'provider') return JSON.stringify([scope.of, scope.userId, scope.provider])
  return JSON.stringify([scope.of, scope.userId, scope.provider, scope.folderId])
}
