import { LRUCache } from 'lru-cache'
import type { Clock } from './time.ts'
import { StorageError } from '../errors.ts'

/** Retry-After while operations are in flight: one of them may end at any moment. */
const IN_FLIGHT_RETRY_MS = 1000

/** Limits how many operations each user has in flight. Memory is bounded by the operations in flight. */
export class InFlightLimit {
  readonly #max: number
  readonly #message: string
  readonly #inFlight = new Map<string, number>()

  /** @param message of the refusal, for people */
  constructor(max: number, message: string) {
    this.#max = max
    this.#message = message
  }

  /** Returns the error for one more operation; `undefined` if the user may begin it. */
  refusal(userId: string): StorageError | undefined {
    if ((this.#inFlight.get(userId) ?? 0) < this.#max) return undefined
    return new StorageError('TOO_MANY_REQUESTS', this.#message, { retryAfterMs: IN_FLIGHT_RETRY_MS })
  }

  begin(userId: string): void {
    this.#inFlight.set(userId, (this.#inFlight.get(userId) ?? 0) + 1)
  }

  end(userId: string): void {
    const left = (this.#inFlight.get(userId) ?? 1) - 1
    if (left === 0) this.#inFlight.delete(userId)
    else this.#inFlight.set(userId, left)
  }

  /**
   * Begins an operation that ends when the last holder of its slot releases it.
   *
   * @throws StorageError `TOO_MANY_REQUESTS`
   */
  enter(userId: string): Slot {
    const refusal = this.refusal(userId)
    if (refusal !== undefined) throw refusal
    this.begin(userId)
    return new Slot(() => {
      this.end(userId)
    })
  }
}

/** A counted operation. Several parts of a request may hold it: the response, the handler, a body. */
export class Slot {
  readonly #onFree: () => void
  #holders = 0
  #isFree = false

  constructor(onFree: () => void) {
    this.#onFree = onFree
  }

  /** Returns a function that releases this hold; further calls of it do nothing. A slot that became free stays free. */
  hold(): () => void {
    if (this.#isFree) return () => {}
    this.#holders += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holders -= 1
      if (this.#holders > 0) return
      this.#isFree = true
      this.#onFree()
    }
  }
}

const MINUTE_MS = 60_000
/** A user that is evicted after this many others were active starts a new minute. */
const MAX_USERS = 10_000
/** Scopes per user. A user with this many active scopes gets no further one, so cycling through scopes evicts none. */
const MAX_SCOPES = 32

interface Scope {
  /** Times of the events within the last minute, oldest first. */
  readonly counted: number[]
  /** Attempts in flight, each of which may become an event. */
  pending: number
}

/** An attempt in flight. It must be ended; only the first call counts. */
export interface Attempt {
  /** @param isCounted whether the attempt became an event */
  end(isCounted: boolean): void
}

/**
 * Limits how many events each user causes within a sliding minute, per scope (such as a host). An attempt in flight
 * counts as an event until it ends, so that parallel attempts cannot exceed the limit.
 */
export class MinuteLimit {
  readonly #max: number
  readonly #message: string
  readonly #clock: Clock
  readonly #users = new LRUCache<string, Map<string, Scope>>({ max: MAX_USERS })

  /** @param message of the refusal, for people */
  constructor(max: number, message: string, clock: Clock) {
    this.#max = max
    this.#message = message
    this.#clock = clock
  }

  /** Counts an event. @throws StorageError `TOO_MANY_REQUESTS` with the time until the oldest event is a minute old */
  take(userId: string, scope = ''): void {
    this.begin(userId, scope).end(true)
  }

  /** Begins an attempt. @throws StorageError `TOO_MANY_REQUESTS` */
  begin(userId: string, scope = ''): Attempt {
    const refusal = this.refusal(userId, scope)
    if (refusal !== undefined) throw refusal
    const entry = this.#scope(userId, scope)
    entry.pending += 1
    let isPending = true
    return {
      end: (isCounted) => {
        if (!isPending) return
        isPending = false
        entry.pending -= 1
        if (!isCounted) return
        this.#scope(userId, scope).counted.push(this.#clock.now())
      }
    }
  }

  /** Returns the error for one more attempt; `undefined` if the user may begin it. */
  refusal(userId: string, scope = ''): StorageError | undefined {
    const scopes = this.#users.get(userId)
    if (scopes === undefined) return undefined
    this.#dropExpired(scopes)
    const entry = scopes.get(scope)
    if (entry === undefined) {
      if (scopes.size < MAX_SCOPES) return undefined
      return this.#refuse(Math.min(...[...scopes.values()].map((other) => this.#waitOf(other))))
    }
    return entry.counted.length + entry.pending < this.#max ? undefined : this.#refuse(this.#waitOf(entry))
  }

  #scope(userId: string, scope: string): Scope {
    let scopes = this.#users.get(userId)
    if (scopes === undefined) this.#users.set(userId, (scopes = new Map<string, Scope>()))
    let entry = scopes.get(scope)
    if (entry === undefined) scopes.set(scope, (entry = { counted: [], pending: 0 }))
    return entry
  }

  #dropExpired(scopes: Map<string, Scope>): void {
    const since = this.#clock.now() - MINUTE_MS
    for (const [name, { counted, pending }] of scopes) {
      for (let oldest = counted[0]; oldest !== undefined && oldest <= since; oldest = counted[0]) counted.shift()
      if (counted.length + pending === 0) scopes.delete(name)
    }
  }

  #waitOf({ counted: [oldest], pending }: Scope): number {
    return oldest === undefined || pending > 0 ? IN_FLIGHT_RETRY_MS : oldest + MINUTE_MS - this.#clock.now()
  }

  #refuse(retryAfterMs: number): StorageError {
    return new StorageError('TOO_MANY_REQUESTS', this.#message, { retryAfterMs })
  }
}
