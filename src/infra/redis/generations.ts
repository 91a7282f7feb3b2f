import { LRUCache } from 'lru-cache'
import { randomBytes } from 'node:crypto'
import { Moment } from '../../domain/moment.ts'
import type { Clock } from '../../domain/ports.ts'
import { type RedisGate, UNAVAILABLE } from './redis-gate.ts'

const MAX_KNOWN = 40_000
/** Many times as long as a page lives. One that is gone is followed by one that no page was stored under. */
const KEPT_MS = 3_600_000
/** Where nobody can tell. */
const UNKNOWN = '-'

export interface GenerationsOptions {
  readonly gate: RedisGate
  /** What a scope is called in Redis. */
  readonly nameOf: (scope: string) => string
  readonly clock: Clock
  /** How long what was read is believed, in milliseconds from the start of the read. */
  readonly leaseMs: number
  /** Receives work that no caller waits for. It never rejects. */
  readonly onBackground: (work: Promise<void>) => void
  /** How long a page lives: an invalidation that could not be told for so long has nothing left to invalidate. */
  readonly pageMs: number
}

interface Known {
  readonly value: string
  readonly readAt: Moment
}

/**
 * A value for each scope that invalidations replace. Values are random, so that one that Redis has lost, or evicted, is
 * never followed by one that was there before. While Redis is away each process goes on with what it knows.
 */
export class Generations {
  readonly #options: GenerationsOptions
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN })
  /** The reads in flight that somebody waits for. */
  readonly #reading = new Map<string, Promise<string>>()
  /** Those that are ahead of time: nobody does. */
  readonly #renewing = new Set<string>()
  /** Raised here, and not known to Redis yet. */
  readonly #owed = new LRUCache<string, Known>({ max: MAX_KNOWN })

  constructor(options: GenerationsOptions) {
    this.#options = options
  }

  /** The values of these scopes as one text; at once where all of them are believed. */
  current(scopes: readonly string[]): string | Promise<string> {
    const { leaseMs } = this.#options
    const old: string[] = []
    const values: string[] = []
    for (const scope of scopes) {
      const own = this.#ownOf(scope)
      const known = own ?? this.#known.get(scope)
      const ageMs = known === undefined ? Infinity : this.#age(known)
      if (known === undefined || (ageMs >= leaseMs && own === undefined)) return this.#join(scopes)
      // Ahead of time, so that a folder that is read often never waits for Redis.
      if (ageMs >= leaseMs / 2) old.push(scope)
      values.push(known.value)
    }
    const due = old.filter((scope) => !this.#renewing.has(scope))
    if (due.length > 0) this.#options.onBackground(this.#renew(due))
    return values.join(' ')
  }

  /** Ends what was, here at once and elsewhere as soon as Redis has it. */
  raise(scope: string): void {
    const raised = { value: makeValue(), readAt: new Moment(this.#options.clock) }
    this.#known.set(scope, raised)
    this.#owed.set(scope, raised)
    this.#options.onBackground(this.#tell(scope, raised))
  }

  /** Redis is back: it is told what it has missed. */
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

  /** One read for all who ask the same at once. */
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

  /** What Redis has under these names, made where there is nothing; `null` without Redis. One question at a time. */
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
      // Another process was first with these; if one is gone again already, ours is as good as any.
      const lost = made.filter((_each, index) => set[index] === null)
      const first = await gate.run((redis) => Promise.all(lost.map(({ name }) => redis.get(name))))
      if (first === UNAVAILABLE) return null
      for (const [index, each] of lost.entries()) each.value = first[index] ?? each.value
    }
    const own = new Map(made.map(({ name, value }) => [name, value]))
    return names.map((name, index) => found[index] ?? own.get(name) ?? UNKNOWN)
  }

  /** What counts: what was raised here meanwhile comes before what was read, and either before nothing. */
  #note(scope: string, read: Known | undefined): string {
    const own = this.#ownOf(scope)
    if (own !== undefined) return own.value
    const known = this.#known.peek(scope)
    if (read === undefined) return known?.value ?? UNKNOWN
    if (known !== undefined && this.#age(known) < this.#age(read)) return known.value
    this.#known.set(scope, read)
    return read.value
  }

  /** What was raised here and nobody else knows of, for as long as a page from before may live. */
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
