import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import { Breaker, type CallOutcome } from '../core/breaker.ts'
import type { TrippedBreaker } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import { errorKind, StorageError } from '../errors.ts'
import { interceptCalls } from './layer.ts'
import { Throttle } from './throttle.ts'

/**
 * Stops calls to a provider that is down. It must enclose the deadline and the retries, so that a call counts as one
 * outcome. A download has succeeded once its body begins.
 *
 * While the circuit is open, calls reject with `PROVIDER_UNAVAILABLE` and the remaining wait.
 */
export function withBreaker(backend: StorageBackend, breaker: Breaker): StorageBackend {
  return interceptCalls(backend, async (method, signal, run) => {
    signal.throwIfAborted()
    const { waitMs } = breaker
    if (waitMs > 0) {
      throw new StorageError('PROVIDER_UNAVAILABLE', 'The provider has failed repeatedly. Try again later.', {
        retryAfterMs: waitMs
      })
    }
    // An upload may take hours. Its outcome counts, but as the probe it would block all other calls.
    const report = method === 'upload' ? breaker.record.bind(breaker) : breaker.begin()
    try {
      const result = await run(signal)
      report('up')
      return result
    } catch (error) {
      // An aborted call says nothing about the provider's health.
      report(signal.aborted ? 'unknown' : outcomeOf(error))
      throw error
    }
  })
}

/** Any response proves that a server is up. Providers decide what counts as one (decision 42). */
function outcomeOf(error: unknown): CallOutcome {
  if (!(error instanceof StorageError)) return 'unknown'
  return error.responded ? 'up' : (errorKind(error.code).provider ?? 'unknown')
}

/** The state of one connection's provider. It outlives the opened backends. */
export interface Health {
  readonly throttle: Throttle
  readonly breaker: Breaker
}

interface HealthEntry extends Health {
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
  readonly #entries = new LRUCache<string, HealthEntry>({ max: MAX_CONNECTIONS })

  /** @param onThrottled called once for each throttle response */
  constructor(clock: Clock, onThrottled: (provider: string) => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** Returns the connection's health, creating it at first use. */
  get(provider: string, connectionId: string): Health {
    const key = keyOf(provider, connectionId)
    let health = this.#entries.get(key)
    if (health === undefined) {
      const throttle = new Throttle(this.#clock, () => {
        this.#onThrottled(provider)
      })
      health = { provider, throttle, breaker: new Breaker(this.#clock) }
      this.#entries.set(key, health)
    }
    return health
  }

  /** Returns the breakers that are not closed. */
  tripped(): TrippedBreaker[] {
    // `values()` does not change the LRU order: reading metrics must not keep connections in memory.
    return [...this.#entries.values()].flatMap(({ provider, breaker: { state } }) =>
      state === 'closed' ? [] : [{ provider, state }]
    )
  }

  /** Removes a deleted connection. */
  delete(provider: string, connectionId: string): void {
    this.#entries.delete(keyOf(provider, connectionId))
  }
}

/** JSON separates the two unambiguously, whatever characters they contain. */
function keyOf(provider: string, connectionId: string): string {
  return JSON.stringify([provider, connectionId])
}
