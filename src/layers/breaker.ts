import type { CircuitBreakerPolicy, CircuitState } from 'cockatiel'
import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import type { TrippedBreaker } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import { errorKind, StorageError } from '../errors.ts'
import { interceptCalls } from './layer.ts'
import { Throttle } from './throttle.ts'

/** Consecutive failures that open the circuit. */
const THRESHOLD = 5
/** Time without calls after that. */
const OPEN_MS = 10_000
/** Retry-After for callers that arrive while the half-open probe is running. */
const PROBING_MS = 1_000

interface Circuit {
  readonly policy: CircuitBreakerPolicy
  readonly states: typeof CircuitState
}

type Outcome<T> =
  | { readonly health: 'up'; readonly result: T }
  | { readonly health: 'up' | 'down' | 'unknown'; readonly error: unknown }

/**
 * A circuit breaker for one connection. It opens after {@link THRESHOLD} consecutive failures for {@link OPEN_MS}.
 * Then one call probes the provider, and its outcome closes the circuit or opens it again.
 */
export class Breaker {
  readonly #clock: Clock
  #circuit: Circuit | undefined
  /** Earliest time of the next probe, by the monotonic clock. */
  #probeAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws StorageError `PROVIDER_UNAVAILABLE` with the remaining wait, without a call, while the circuit is open */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { policy, states } = await this.#getCircuit(signal)
    const outcome = await policy.execute(async () => {
      const isProbe = policy.state !== states.Closed
      const outcome = await settle(signal, work)
      // cockatiel ignores an unhandled error, but a probe that ends with one counts as a success.
      if (outcome.health === 'unknown' && !isProbe) throw outcome.error
      return outcome
    })
    // The probe was inconclusive: the next call probes again.
    if (outcome.health === 'unknown') this.#probeAt = this.#clock.now()
    return unwrap(outcome)
  }

  /**
   * For calls that may take hours, such as uploads. Their outcome counts, but a probe would block all other calls.
   *
   * @throws StorageError as {@link run}
   */
  async runLong<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { policy } = await this.#getCircuit(signal)
    const outcome = await settle(signal, work)
    const shouldRecord = outcome.health !== 'unknown' && this.#openError() === null
    if (shouldRecord) await policy.execute(() => outcome)
    return unwrap(outcome)
  }

  /** The state for the next call. `open`: it is rejected. `half_open`: it probes, or a probe is running. */
  get state(): TrippedBreaker['state'] | 'closed' {
    if (this.#circuit === undefined) return 'closed'
    const { policy, states } = this.#circuit
    if (policy.state === states.Closed) return 'closed'
    // cockatiel stays open until the next call, which may never come.
    return this.#clock.now() < this.#probeAt ? 'open' : 'half_open'
  }

  async #getCircuit(signal: AbortSignal): Promise<Circuit> {
    signal.throwIfAborted()
    // Imported at first use: the import is slow, and an application may never make a call.
    const { circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhenResult } = await import('cockatiel')
    signal.throwIfAborted()
    if (this.#circuit === undefined) {
      const policy = circuitBreaker(
        handleWhenResult((outcome) => (outcome as Outcome<unknown>).health !== 'up'),
        // cockatiel's own wait follows the wall clock, which may be set back by hours. Only `#probeAt` applies.
        { breaker: new ConsecutiveBreaker(THRESHOLD), halfOpenAfter: -Infinity }
      )
      policy.onBreak(() => {
        this.#probeAt = this.#clock.now() + OPEN_MS
      })
      this.#circuit = { policy, states: CircuitState }
    }
    const openError = this.#openError()
    if (openError !== null) throw openError
    return this.#circuit
  }

  #openError(): StorageError | null {
    if (this.#circuit === undefined) return null
    const { policy, states } = this.#circuit
    if (policy.state === states.Closed) return null
    // cockatiel would queue these calls behind the probe: all of them would hang with the provider.
    const retryAfterMs = policy.state === states.HalfOpen ? PROBING_MS : Math.ceil(this.#probeAt - this.#clock.now())
    if (retryAfterMs <= 0) return null
    return new StorageError('PROVIDER_UNAVAILABLE', 'The provider has failed repeatedly. Try again later.', {
      retryAfterMs
    })
  }
}

async function settle<T>(signal: AbortSignal, work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { health: 'up', result: await work() }
  } catch (error) {
    // An aborted call says nothing about the provider's health.
    if (signal.aborted) return { health: 'unknown', error }
    return { health: healthOf(error), error }
  }
}

/** Any response proves that a server is up. Providers decide what counts as one (decision 42). */
function healthOf(error: unknown): 'up' | 'down' | 'unknown' {
  if (!(error instanceof StorageError)) return 'unknown'
  return error.responded ? 'up' : (errorKind(error.code).provider ?? 'unknown')
}

function unwrap<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error
  return outcome.result
}

/**
 * Stops calls to a provider that is down. It must enclose the deadline and the retries, so that a call counts as one
 * outcome. A download has succeeded once its body begins.
 */
export function withBreaker(backend: StorageBackend, breaker: Breaker): StorageBackend {
  return interceptCalls(backend, (method, signal, run) => {
    const work = (): ReturnType<typeof run> => run(signal)
    return method === 'upload' ? breaker.runLong(signal, work) : breaker.run(signal, work)
  })
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
