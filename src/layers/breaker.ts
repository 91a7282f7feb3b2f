import type { CircuitBreakerPolicy, CircuitState } from 'cockatiel'
import { isStorageError, StorageError, type StorageErrorCode } from '../domain/errors.ts'
import type { TrippedBreaker } from '../domain/metrics.ts'
import type { Clock } from '../domain/ports.ts'

/** So many calls in a row must say that the provider is down. */
const THRESHOLD = 5
/** So long nobody calls it then. */
const OPEN_MS = 10_000
/** What those are told who come while one call finds out: it ends soon, but nobody knows when. */
const PROBING_MS = 1_000

const DOWN: readonly StorageErrorCode[] = ['PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT']

/**
 * What only a provider says that works. The other codes say nothing either way: a request that a backend refuses
 * unasked must not close the circuit to a provider that is down, nor an answer that makes no sense open it.
 */
const UP: readonly StorageErrorCode[] = [
  'ACCESS_DENIED',
  'ACCOUNT_DISABLED',
  'INSUFFICIENT_SCOPE',
  'FOLDER_NOT_FOUND',
  'OBJECT_NOT_FOUND',
  'ALREADY_EXISTS',
  'PRECONDITION_FAILED',
  'CURSOR_EXPIRED',
  'RANGE_NOT_SATISFIABLE',
  'LOCKED',
  'UNSUPPORTED',
  'PROVIDER_THROTTLED',
  'QUOTA_EXCEEDED'
]

interface Circuit {
  readonly policy: CircuitBreakerPolicy
  readonly states: typeof CircuitState
}

type Outcome<T> =
  | { readonly health: 'up'; readonly answer: T }
  | { readonly health: 'up' | 'down' | 'unknown'; readonly error: unknown }

/**
 * A circuit breaker for one connection. After {@link THRESHOLD} failures in a row it is open for {@link OPEN_MS}; then
 * one call probes, and its outcome closes the circuit or opens it anew.
 */
export class Breaker {
  readonly #clock: Clock
  #circuit: Circuit | undefined
  /** When the next probe may be made, by the monotonic clock. */
  #probeAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws StorageError `PROVIDER_UNAVAILABLE` with the rest of the wait, without a call, while the circuit is open */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { policy, states } = await this.#ready(signal)
    const outcome = await policy.execute(async () => {
      const probes = policy.state !== states.Closed
      const outcome = await settle(signal, work)
      // cockatiel counts an error that it does not handle neither way, but takes a probe that ends so for a success.
      if (outcome.health === 'unknown' && !probes) throw outcome.error
      return outcome
    })
    // A probe that found out nothing: the next call is one.
    if (outcome.health === 'unknown') this.#probeAt = this.#clock.now()
    return unwrap(outcome)
  }

  /**
   * For what may take hours, as an upload: its outcome counts, but as a probe it would keep all others waiting.
   *
   * @throws StorageError as {@link run}
   */
  async runLong<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { policy } = await this.#ready(signal)
    const outcome = await settle(signal, work)
    const isAsked = outcome.health !== 'unknown' && this.#refusal() === null
    if (isAsked) await policy.execute(() => outcome)
    return unwrap(outcome)
  }

  /** What the next call meets: a refusal while it is `open`. `half_open`: it finds out, or another is finding out. */
  get state(): TrippedBreaker['state'] | 'closed' {
    if (this.#circuit === undefined) return 'closed'
    const { policy, states } = this.#circuit
    if (policy.state === states.Closed) return 'closed'
    // cockatiel leaves it open until somebody calls, which may be never.
    return this.#clock.now() < this.#probeAt ? 'open' : 'half_open'
  }

  async #ready(signal: AbortSignal): Promise<Circuit> {
    signal.throwIfAborted()
    // At first use: it is slow to load, and an application may never make a call.
    const { circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhenResult } = await import('cockatiel')
    signal.throwIfAborted()
    if (this.#circuit === undefined) {
      const policy = circuitBreaker(
        handleWhenResult((outcome) => (outcome as Outcome<unknown>).health !== 'up'),
        // cockatiel's own wait follows the wall clock, which may be set back by hours. Ours alone holds.
        { breaker: new ConsecutiveBreaker(THRESHOLD), halfOpenAfter: -Infinity }
      )
      policy.onBreak(() => {
        this.#probeAt = this.#clock.now() + OPEN_MS
      })
      this.#circuit = { policy, states: CircuitState }
    }
    const refusal = this.#refusal()
    if (refusal !== null) throw refusal
    return this.#circuit
  }

  #refusal(): StorageError | null {
    if (this.#circuit === undefined) return null
    const { policy, states } = this.#circuit
    if (policy.state === states.Closed) return null
    // cockatiel would let these wait for the probe: a provider that hangs would gather them all.
    const retryAfterMs = policy.state === states.HalfOpen ? PROBING_MS : Math.ceil(this.#probeAt - this.#clock.now())
    if (retryAfterMs <= 0) return null
    return new StorageError('PROVIDER_UNAVAILABLE', 'The provider has failed again and again: it is left alone.', {
      retryAfterMs
    })
  }
}

async function settle<T>(signal: AbortSignal, work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { health: 'up', answer: await work() }
  } catch (error) {
    // Whoever leaves has not seen the provider fail.
    if (signal.aborted) return { health: 'unknown', error }
    return { health: healthOf(error), error }
  }
}

/** A server that has responded is not down, whatever it responded. Providers decide what counts (decision 42). */
function healthOf(error: unknown): 'up' | 'down' | 'unknown' {
  if (isStorageError(error) && error.responded) return 'up'
  if (isStorageError(error, ...DOWN)) return 'down'
  return isStorageError(error, ...UP) ? 'up' : 'unknown'
}

function unwrap<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error
  return outcome.answer
}
