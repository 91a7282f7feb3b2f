import { LRUCache } from 'lru-cache'
import { randomBytes } from 'node:crypto'
import { type Clock, Moment } from '../core/time.ts'
import { type RedisGate, UNAVAILABLE } from './gate.ts'

const MAX_CACHED = 40_000
/** At least this, and twice a page's lifetime. An expired generation is replaced by a new one, which has no pages yet. */
const GENERATION_TTL_MS = 3_600_000
/** The generation if Redis has never been available. */
const UNKNOWN_GENERATION = '-'

export interface GenerationsOptions {
  readonly gate: RedisGate
  /** Returns the name of a scope in Redis. */
  readonly nameOf: (scope: string) => string
  readonly clock: Clock
  /** Duration of a lease in milliseconds, from the start of the read. */
  readonly leaseMs: number
  /** Receives background work. It never rejects. */
  readonly onBackground: (work: Promise<void>) => void
  /** Longest lifetime of a page: an invalidation that is pending for this long has no pages left to invalidate. */
  readonly pageTtlMs: number
}

interface Generation {
  readonly value: string
  readonly readAt: Moment
}

/**
 * A generation for each scope, which invalidations replace. They are random, so that a lost or evicted one is never
 * followed by an earlier one. While Redis is unavailable each process uses the ones it has.
 */
export class Generations {
  readonly #options: GenerationsOptions
  readonly #ttlMs: number
  readonly #cached = new LRUCache<string, Generation>({ max: MAX_CACHED })
  /** The reads in flight that callers wait for. */
  readonly #inFlight = new Map<string, Promise<string>>()
  /** Scopes that are being renewed ahead of time. No caller waits for these. */
  readonly #renewing = new Set<string>()
  /** Generations raised here that are not stored in Redis yet. */
  readonly #pending = new LRUCache<string, Generation>({ max: MAX_CACHED })

  constructor(options: GenerationsOptions) {
    this.#options = options
    this.#ttlMs = Math.max(GENERATION_TTL_MS, 2 * options.pageTtlMs)
  }

  /** Returns the joined generations of these scopes; synchronously if all are leased. */
  current(scopes: readonly string[]): string | Promise<string> {
    const { leaseMs } = this.#options
    const aging: string[] = []
    const values: string[] = []
    for (const scope of scopes) {
      const pending = this.#findPending(scope)
      const cached = pending ?? this.#cached.get(scope)
      const ageMs = cached === undefined ? Infinity : this.#ageMs(cached)
      if (cached === undefined || (ageMs >= leaseMs && pending === undefined)) return this.#join(scopes)
      // Renewed ahead of time, so that requests for a busy folder never wait for Redis.
      if (ageMs >= leaseMs / 2) aging.push(scope)
      values.push(cached.value)
    }
    const due = aging.filter((scope) => !this.#renewing.has(scope))
    if (due.length > 0) this.#options.onBackground(this.#renew(due))
    return values.join(' ')
  }

  /** Invalidates a scope: here at once, and elsewhere as soon as Redis has the new generation. */
  invalidate(scope: string): void {
    const generation = { value: createValue(), readAt: new Moment(this.#options.clock) }
    this.#cached.set(scope, generation)
    this.#pending.set(scope, generation)
    this.#options.onBackground(this.#store(scope, generation))
  }

  /** Stores the pending generations, after Redis has recovered. */
  storePending(): void {
    for (const scope of [...this.#pending.keys()]) {
      const generation = this.#findPending(scope)
      if (generation !== undefined) this.#options.onBackground(this.#store(scope, generation))
    }
  }

  async #store(scope: string, generation: Generation): Promise<void> {
    const { gate, nameOf } = this.#options
    const result = await gate.run((redis) => redis.set(nameOf(scope), generation.value, 'PX', this.#ttlMs))
    if (result !== UNAVAILABLE && this.#pending.peek(scope) === generation) this.#pending.delete(scope)
  }

  /** Shares one read among all concurrent callers. */
  #join(scopes: readonly string[]): Promise<string> {
    const key = scopes.join(' ')
    let inFlight = this.#inFlight.get(key)
    if (inFlight === undefined) {
      inFlight = this.#read(scopes).finally(() => this.#inFlight.delete(key))
      this.#inFlight.set(key, inFlight)
    }
    return inFlight
  }

  async #renew(scopes: readonly string[]): Promise<void> {
    for (const scope of scopes) this.#renewing.add(scope)
    await this.#read(scopes)
    for (const scope of scopes) this.#renewing.delete(scope)
  }

  async #read(scopes: readonly string[]): Promise<string> {
    const { clock, nameOf } = this.#options
    const readAt = new Moment(clock)
    const values = await this.#values(scopes.map(nameOf))
    return scopes
      .map((scope, index) => {
        const value = values?.[index]
        return this.#record(scope, value === undefined ? undefined : { value, readAt })
      })
      .join(' ')
  }

  /** Reads the generations of these names, and creates missing ones; `null` without Redis. Uses single-key commands. */
  async #values(names: readonly string[]): Promise<string[] | null> {
    const { gate } = this.#options
    const found = await gate.run((redis) => Promise.all(names.map((name) => redis.get(name))))
    if (found === UNAVAILABLE) return null
    const created = names
      .filter((_name, index) => found[index] === null)
      .map((name) => ({ name, value: createValue() }))
    if (created.length > 0) {
      const results = await gate.run((redis) =>
        Promise.all(created.map(({ name, value }) => redis.set(name, value, 'PX', this.#ttlMs, 'NX')))
      )
      if (results === UNAVAILABLE) return null
      // Another process was faster with these. If one is missing again, ours is as good as any.
      const conflicting = created.filter((_each, index) => results[index] === null)
      const winners = await gate.run((redis) => Promise.all(conflicting.map(({ name }) => redis.get(name))))
      if (winners === UNAVAILABLE) return null
      for (const [index, conflict] of conflicting.entries()) conflict.value = winners[index] ?? conflict.value
    }
    const createdByName = new Map(created.map(({ name, value }) => [name, value]))
    return names.map((name, index) => found[index] ?? createdByName.get(name) ?? UNKNOWN_GENERATION)
  }

  /** Returns the valid generation: one raised here has priority over a read one, and a newer read over an older. */
  #record(scope: string, incoming: Generation | undefined): string {
    const pending = this.#findPending(scope)
    if (pending !== undefined) return pending.value
    const cached = this.#cached.peek(scope)
    if (incoming === undefined) return cached?.value ?? UNKNOWN_GENERATION
    if (cached !== undefined && this.#ageMs(cached) < this.#ageMs(incoming)) return cached.value
    this.#cached.set(scope, incoming)
    return incoming.value
  }

  /** Returns a generation raised here and pending, for as long as an older page may live. */
  #findPending(scope: string): Generation | undefined {
    const pending = this.#pending.peek(scope)
    if (pending === undefined || this.#ageMs(pending) < this.#options.pageTtlMs) return pending
    this.#pending.delete(scope)
    return undefined
  }

  #ageMs({ readAt }: Generation): number {
    return readAt.ageMs(this.#options.clock)
  }
}

function createValue(): string {
  return randomBytes(9).toString('base64url')
}
