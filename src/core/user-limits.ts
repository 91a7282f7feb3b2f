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
  limitError(userId: string): StorageError | undefined {
    if ((this.#inFlight.get(userId) ?? 0) < this.#max) return undefined
    return new StorageError('TOO_MANY_REQUESTS', this.#message, { retryAfterMs: IN_FLIGHT_RETRY_MS })
  }

  begin(userId: string): void {
    this.#inFlight.set(userId, (this.#inFlight.get(userId) ?? 0) + 1)
  }

  end(userId: string): void {
    const remaining = (this.#inFlight.get(userId) ?? 1) - 1
    if (remaining === 0) this.#inFlight.delete(userId)
    else this.#inFlight.set(userId, remaining)
  }

  /**
   * Begins an operation that ends when the last holder of its slot releases it.
   *
   * @throws StorageError `TOO_MANY_REQUESTS`
   */
  acquire(userId: string): Permit {
    const limitError = this.limitError(userId)
    if (limitError !== undefined) throw limitError
    this.begin(userId)
    return new Permit(() => {
      this.end(userId)
    })
  }
}

/** A counted operation. Several parts of a request may hold it: the response, the handler, a body. */
export class Permit {
  readonly #onReleased: () => void
  #holders = 0
  #isReleased = false

  constructor(onReleased: () => void) {
    this.#onReleased = onReleased
  }

  /** Returns a function that releases this hold; further calls of it do nothing. A slot that became free stays free. */
  hold(): () => void {
    if (this.#isReleased) return () => {}
    this.#holders += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holders -= 1
      if (this.#holders > 0) return
      this.#isReleased = true
      this.#onReleased()
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
  readonly eventTimes: number[]
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
  consume(userId: string, scope = ''): void {
    this.begin(userId, scope).end(true)
  }

  /** Begins an attempt. @throws StorageError `TOO_MANY_REQUESTS` */
  begin(userId: string, scope = ''): Attempt {
    const limitError = this.limitError(userId, scope)
    if (limitError !== undefined) throw limitError
    const entry = this.#scope(userId, scope)
    entry.pending += 1
    let isPending = true
    return {
      end: (isCounted) => {
        if (!isPending) return
        isPending = false
        entry.pending -= 1
        if (!isCounted) return
        this.#scope(userId, scope).eventTimes.push(this.#clock.now())
      }
    }
  }

  /** Returns the error for one more attempt; `undefined` if the user may begin it. */
  limitError(userId: string, scope = ''): StorageError | undefined {
    const scopes = this.#users.get(userId)
    if (scopes === undefined) return undefined
    this.#dropExpired(scopes)
    const entry = scopes.get(scope)
    if (entry === undefined) {
      if (scopes.size < MAX_SCOPES) return undefined
      return this.#tooManyRequests(Math.min(...[...scopes.values()].map((other) => this.#waitMs(other))))
    }
    return entry.eventTimes.length + entry.pending < this.#max ? undefined : this.#tooManyRequests(this.#waitMs(entry))
  }

  /** Returns the limit of one user in one scope. */
  scoped(userId: string, scope: string): { begin(): Attempt; limitError(): StorageError | undefined } {
    return { begin: () => this.begin(userId, scope), limitError: () => this.limitError(userId, scope) }
  }

  #scope(userId: string, scope: string): Scope {
    let scopes = this.#users.get(userId)
    if (scopes === undefined) this.#users.set(userId, (scopes = new Map<string, Scope>()))
    let entry = scopes.get(scope)
    if (entry === undefined) scopes.set(scope, (entry = { eventTimes: [], pending: 0 }))
    return entry
  }

  #dropExpired(scopes: Map<string, Scope>): void {
    const since = this.#clock.now() - MINUTE_MS
    for (const [name, { eventTimes, pending }] of scopes) {
      for (let oldest = eventTimes[0]; oldest !== undefined && oldest <= since; oldest = eventTimes[0])
        eventTimes.shift()
      if (eventTimes.length + pending === 0) scopes.delete(name)
    }
  }

  #waitMs({ eventTimes: [oldest], pending }: Scope): number {
    return oldest === undefined || pending > 0 ? IN_FLIGHT_RETRY_MS : oldest + MINUTE_MS - this.#clock.now()
  }

  #tooManyRequests(retryAfterMs: number): StorageError {
    return new StorageError('TOO_MANY_REQUESTS', this.#message, { retryAfterMs })
  }
}
