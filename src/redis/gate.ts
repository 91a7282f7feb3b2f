import { Breaker } from '../core/breaker.ts'
import { type Clock, withTimeout } from '../core/time.ts'

/** The result of a call while Redis is unavailable. */
export const UNAVAILABLE = Symbol('Redis is not available')

/** Time without calls after a failure. */
const PROBE_DELAY_MS = 2_000

export interface RedisGateOptions {
  readonly redis: RedisClient
  /** Timeout of a response in milliseconds. */
  readonly responseTimeoutMs: number
  readonly clock: Clock
  /** Called when Redis becomes unavailable, with the error. */
  readonly onUnavailable: (error: unknown) => void
  /** Called when Redis responds again. */
  readonly onRecovered: () => void
}

/**
 * Guards the calls to a Redis that may be down. An outage costs one timeout: after that all calls, including those in
 * flight, return {@link UNAVAILABLE} at once, until a background probe succeeds. No caller's own work is the probe:
 * that caller would wait for a dead Redis.
 */
export class RedisGate {
  readonly #options: RedisGateOptions
  readonly #breaker: Breaker
  #isClosed = false
  /** Aborts the calls in flight when Redis becomes unavailable. */
  #inFlight = new AbortController()

  constructor(options: RedisGateOptions) {
    this.#options = options
    this.#breaker = new Breaker(options.clock, { threshold: 1, openMs: PROBE_DELAY_MS })
  }

  /** Never rejects. An error response of Redis says nothing about its health. */
  async run<T>(work: (redis: RedisClient) => Promise<T>): Promise<T | typeof UNAVAILABLE> {
    if (this.#isClosed) return UNAVAILABLE
    if (this.#breaker.state !== 'closed') {
      // `onRecovered` may throw: it calls the host's logger.
      if (this.#breaker.waitMs === 0) this.#probe().catch(() => {})
      return UNAVAILABLE
    }
    const { signal } = this.#inFlight
    try {
      return await this.#runWithTimeout(work, signal)
    } catch (error) {
      // Only the first of several parallel failures counts.
      if (!signal.aborted && !isReply(error)) this.#trip(error)
      return UNAVAILABLE
    }
  }

  /** Stops all calls: the owner is about to close the client, which is not a failure to report. */
  close(): void {
    this.#isClosed = true
  }

  #trip(error: unknown): void {
    if (this.#isClosed) return
    this.#breaker.record('down')
    const controller = this.#inFlight
    this.#inFlight = new AbortController()
    controller.abort(error)
    this.#options.onUnavailable(error)
  }

  async #probe(): Promise<void> {
    const report = this.#breaker.begin()
    try {
      await this.#runWithTimeout((redis) => redis.ping(), this.#inFlight.signal)
    } catch {
      report('down')
      return
    }
    report('up')
    this.#options.onRecovered()
  }

  #runWithTimeout<T>(work: (redis: RedisClient) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { redis, responseTimeoutMs } = this.#options
    const toError = (): Error => new Error(`Redis did not respond within ${String(responseTimeoutMs)} ms`)
    return withTimeout(responseTimeoutMs, signal, toError, () => work(redis))
  }
}

/** Returns true if Redis has responded, even with an error. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}

/**
 * A client of Redis or Valkey: the members of `ioredis` in use. Its owner connects it, handles its errors and ends
 * it. `enableOfflineQueue: false` detects an outage sooner; with `true` our own timeouts limit waits.
 */
export interface RedisClient {
  get(key: string): Promise<string | null>
  getBuffer(key: string): Promise<Buffer | null>
  pttl(key: string): Promise<number>
  set(key: string, value: string | Buffer, unit: 'PX', ms: number, condition?: 'NX'): Promise<unknown>
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>
  ping(): Promise<unknown>
}

/** The method names, for validating an option. */
export const REDIS_METHODS = [
  'get',
  'getBuffer',
  'pttl',
  'set',
  'eval',
  'ping'
] as const satisfies readonly (keyof RedisClient)[]
