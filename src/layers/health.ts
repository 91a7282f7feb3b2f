import { LRUCache } from 'lru-cache'
import type { TrippedBreaker } from '../domain/metrics.ts'
import type { Clock } from '../domain/ports.ts'
import { Breaker } from './breaker.ts'
import { Penalty } from './penalty.ts'

/** The state of one connection's provider. It outlives the opened backends. */
export interface Health {
  readonly penalty: Penalty
  readonly breaker: Breaker
}

interface Known extends Health {
  readonly provider: string
}

/** Connections in memory. An evicted one calls its provider again, and gets its throttle or failure again. */
const MAX_CONNECTIONS = 5_000

/**
 * The health of each connection, as observed by this process. The host is not part of the key: it belongs to the
 * account that the row represents, so another server means another row.
 */
export class ConnectionHealth {
  readonly #clock: Clock
  readonly #onThrottled: (provider: string) => void
  readonly #known = new LRUCache<string, Known>({ max: MAX_CONNECTIONS })

  /** @param onThrottled called once for each throttle response */
  constructor(clock: Clock, onThrottled: (provider: string) => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** Returns the connection's health, creating it at first use. */
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

  /** Returns the breakers that are not closed. */
  tripped(): TrippedBreaker[] {
    // `values()` does not change the LRU order: reading metrics must not keep connections in memory.
    return [...this.#known.values()].flatMap(({ provider, breaker: { state } }) =>
      state === 'closed' ? [] : [{ provider, state }]
    )
  }

  /** Removes a deleted connection. */
  forget(provider: string, connectionId: string): void {
    this.#known.delete(keyOf(provider, connectionId))
  }
}

/** JSON separates the two unambiguously, whatever characters they contain. */
function keyOf(provider: string, connectionId: string): string {
  return JSON.stringify([provider, connectionId])
}
