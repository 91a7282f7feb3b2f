import { LRUCache } from 'lru-cache'
import type { TrippedBreaker } from '../domain/metrics.ts'
import type { Clock } from '../domain/ports.ts'
import { Breaker } from './breaker.ts'
import { Penalty } from './penalty.ts'

/** What is known of one connection's provider; opened backends come and go meanwhile. */
export interface Health {
  readonly penalty: Penalty
  readonly breaker: Breaker
}

interface Known extends Health {
  readonly provider: string
}

/** So many connections are remembered. One that is forgotten asks its provider anew, and is told again. */
const MAX_CONNECTIONS = 5_000

/**
 * The health of each connection, as this process has seen it. The host is no part of the key: a connection is a row,
 * and the server that it leads to is part of the account that the row stands for, so that another server is another
 * row.
 */
export class ConnectionHealth {
  readonly #clock: Clock
  readonly #onThrottled: (provider: string) => void
  readonly #known = new LRUCache<string, Known>({ max: MAX_CONNECTIONS })

  /** @param onThrottled called once for each answer that asks for fewer calls */
  constructor(clock: Clock, onThrottled: (provider: string) => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** The one of this connection, made at first use. */
  of(provider: string, connectionId: string): Health {
    const key = keyOf(provider, connectionId)
    let health = this.#known.get(key)
    if (health === undefined) {
      const penalty = new Penalty(this.#clock, () => {
        this.#onThrottled(provider)
      })
      health = { provider, penalty, breaker: new Breaker(this.#clock) }
      this.#known.set(key, health)
    }
    return health
  }

  /** The breakers that are not closed. */
  tripped(): TrippedBreaker[] {
    // Without a look at who was asked for last: to be counted keeps nobody here.
    return [...this.#known.values()].flatMap(({ provider, breaker: { state } }) =>
      state === 'closed' ? [] : [{ provider, state }]
    )
  }

  /** Forgets a connection that is no more. */
  forget(provider: string, connectionId: string): void {
    this.#known.delete(keyOf(provider, connectionId))
  }
}

/** JSON keeps the two apart, whatever characters they hold. */
function keyOf(provider: string, connectionId: string): string {
  return JSON.stringify([provider, connectionId])
}
