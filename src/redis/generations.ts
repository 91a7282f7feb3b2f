import { LRUCache } from 'lru-cache'
import { randomBytes } from 'node:crypto'
import { Moment } from '../core/time.ts'
import type { Clock } from '../core/time.ts'
import { type RedisGate, UNAVAILABLE } from './gate.ts'

const MAX_KNOWN = 40_000
/** Many times a page's lifetime. An expired generation is replaced by a new one, which has no pages yet. */
const KEPT_MS = 3_600_000
/** The generation if Redis has never been available. */
const UNKNOWN = '-'

export interface GenerationsOptions {
  readonly gate: RedisGate
  /** Returns the name of a scope in Redis. */
  readonly nameOf: (scope: string) => string
  readonly clock: Clock
  /** Duration of a lease in milliseconds, from the start of the read. */
  readonly leaseMs: number
  /** Receives background work. It never rejects. */
  readonly onBackground: (work: Promise<void>) => void
  /** Lifetime of a page: an invalidation that is pending for this long has no pages left to invalidate. */
  readonly pageMs: number
}

interface Known {
  readonly value: string
  readonly readAt: Moment
}

/**
 * A generation for each scope, which invalidations replace. They are random, so that a lost or evicted one is never
 * followed by an earlier one. While Redis is unavailable each process uses the ones it has.
 */
export class Generations {
  readonly #options: GenerationsOptions
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN })
  /** The reads in flight that callers wait for. */
  readonly #reading = new Map<string, Promise<string>>()
  /** Scopes that are being renewed ahead of time. No caller waits for these. */
  readonly #renewing = new Set<string>()
  /** Generations raised here that are not stored in Redis yet. */
  readonly #owed = new LRUCache<string, Known>({ max: MAX_KNOWN })

  constructor(options: GenerationsOptions) {
    this.#options = options
  }

  /** Returns the joined generations of these scopes; synchronously if all are leased. */
  current(scopes: readonly string[]): string | Promise<string> {
    const { leaseMs } = this.#options
    const old: string[] = []
    const values: string[] = []
    for (const scope of scopes) {
      const own = this.#ownOf(scope)
      const known = own ?? this.#known.get(scope)
      const ageMs = known === undefined ? Infinity : this.#age(known)
      if (known === undefined || (ageMs >= leaseMs && own === undefined)) return this.#join(scopes)
      // Renewed ahead of time, so that requests for a busy folder never wait for Redis.
      if (ageMs >= leaseMs / 2) old.push(scope)
      values.push(known.value)
    }
    const due = old.filter((scope) => !this.#renewing.has(scope))
    if (due.length > 0) this.#options.onBackground(this.#renew(due))
    return values.join(' ')
  }

  /** Invalidates a scope: here at once, and elsewhere as soon as Redis has the new generation. */
  raise(scope: string): void {
    const raised = { value: makeValue(), readAt: new Moment(this.#options.clock) }
    this.#known.set(scope, raised)
    this.#owed.set(scope, raised)
    this.#options.onBackground(this.#tell(scope, raised))
  }

  /** Stores the pending generations, after Redis has recovered. */
  tellOwed(): void {
    for (const scope of [...this.#owed.keys()]) {
      const raised = this.#ownOf(scope)
      if (raised !== undefined) this.#options.onBackground(this.#tell(scope, raised))
    }
  }

  async #tell(scope: string, raised: Known): Promise<void> {
    const { gate, nameOf } = this.#options
    const told = await gate.run((redis) => redis.set(nameOf(scope), raised.value, 'PX', KEPT_MS))
    if (told !== UNAVAILABLE && this.#owed.peek(scope) === raised) this.#owed.delete(scope)
  }

  /** Shares one read among all concurrent callers. */
  #join(scopes: readonly string[]): Promise<string> {
    const key = scopes.join(' ')
    let reading = this.#reading.get(key)
    if (reading === undefined) {
      reading = this.#read(scopes).finally(() => this.#reading.delete(key))
      this.#reading.set(key, reading)
    }
    return reading
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
        return this.#note(scope, value === undefined ? undefined : { value, readAt })
      })
      .join(' ')
  }

  /** Reads the generations of these names, and creates missing ones; `null` without Redis. Uses single-key commands. */
  async #values(names: readonly string[]): Promise<string[] | null> {
    const { gate } = this.#options
    const found = await gate.run((redis) => Promise.all(names.map((name) => redis.get(name))))
    if (found === UNAVAILABLE) return null
    const made = names.filter((_name, index) => found[index] === null).map((name) => ({ name, value: makeValue() }))
    if (made.length > 0) {
      const set = await gate.run((redis) =>
        Promise.all(made.map(({ name, value }) => redis.set(name, value, 'PX', KEPT_MS, 'NX')))
      )
      if (set === UNAVAILABLE) return null
      // Another process was faster with these. If one is missing again, ours is as good as any.
      const lost = made.filter((_each, index) => set[index] === null)
      const first = await gate.run((redis) => Promise.all(lost.map(({ name }) => redis.get(name))))
      if (first === UNAVAILABLE) return null
      for (const [index, each] of lost.entries()) each.value = first[index] ?? each.value
    }
    const own = new Map(made.map(({ name, value }) => [name, value]))
    return names.map((name, index) => found[index] ?? own.get(name) ?? UNKNOWN)
  }

  /** Returns the valid generation: one raised here has priority over a read one, and a newer read over an older. */
  #note(scope: string, read: Known | undefined): string {
    const own = this.#ownOf(scope)
    if (own !== undefined) return own.value
    const known = this.#known.peek(scope)
    if (read === undefined) return known?.value ?? UNKNOWN
    if (known !== undefined && this.#age(known) < this.#age(read)) return known.value
    this.#known.set(scope, read)
    return read.value
  }

  /** Returns a generation raised here and pending, for as long as an older page may live. */
  #ownOf(scope: string): Known | undefined {
    const own = this.#owed.peek(scope)
    if (own === undefined || this.#age(own) < this.#options.pageMs) return own
    this.#owed.delete(scope)
    return undefined
  }

  #age({ readAt }: Known): number {
    return readAt.ageMs(this.#options.clock)
  }
}

function makeValue(): string {
  return randomBytes(9).toString('base64url')
}
