import type { Clock } from '../core/time.ts'

/** The result of a call while Redis is unavailable. */
export const UNAVAILABLE = Symbol('Redis is not available')

/** Time without calls after a failure. */
const PROBE_DELAY_MS = 2_000
/** Ticks per timeout. */
const TIMEOUT_TICKS = 10

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
 * flight, return {@link UNAVAILABLE} at once, until a background probe succeeds.
 *
 * Not cockatiel's breaker, which uses a caller's own work as the probe: that caller would wait for a dead Redis.
 */
export class RedisGate {
  readonly #options: RedisGateOptions
  #outage: { readonly probeAt: number } | null = null
  #isProbing = false
  #isClosed = false
  /** Aborts the calls in flight when Redis becomes unavailable. */
  #inFlight = new AbortController()

  constructor(options: RedisGateOptions) {
    this.#options = options
  }

  /** Never rejects. An error response of Redis says nothing about its health. */
  async run<T>(work: (redis: RedisClient) => Promise<T>): Promise<T | typeof UNAVAILABLE> {
    if (this.#isClosed) return UNAVAILABLE
    if (this.#outage !== null) {
      if (this.#options.clock.now() >= this.#outage.probeAt) void this.#probe()
      return UNAVAILABLE
    }
    const signal = this.#inFlight.signal
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
    const { clock, onUnavailable } = this.#options
    this.#outage = { probeAt: clock.now() + PROBE_DELAY_MS }
    const controller = this.#inFlight
    this.#inFlight = new AbortController()
    controller.abort(error)
    onUnavailable(error)
  }

  async #probe(): Promise<void> {
    if (this.#isProbing) return
    const { clock, onRecovered } = this.#options
    this.#isProbing = true
    try {
      await this.#runWithTimeout((redis) => redis.ping(), this.#inFlight.signal)
      this.#outage = null
      onRecovered()
    } catch {
      this.#outage = { probeAt: clock.now() + PROBE_DELAY_MS }
    } finally {
      this.#isProbing = false
    }
  }

  async #runWithTimeout<T>(work: (redis: RedisClient) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { redis, responseTimeoutMs } = this.#options
    let onAbort: (() => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_resolve, reject) => {
      onAbort = () => {
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      // In ticks, of which a delayed one counts once: a busy process must not take its own delay for an outage of
      // Redis while the response is in its socket.
      let ticks = 0
      timer = setInterval(() => {
        ticks += 1
        if (ticks === TIMEOUT_TICKS) reject(new Error(`Redis did not respond within ${String(responseTimeoutMs)} ms`))
      }, responseTimeoutMs / TIMEOUT_TICKS)
    })
    try {
      return await Promise.race([work(redis), timeout])
    } finally {
      clearInterval(timer)
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
    }
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
  set(key: string, value: string | Buffer, unit: 'PX', ms: number): Promise<unknown>
  set(key: string, value: string, unit: 'PX', ms: number, condition: 'NX'): Promise<unknown>
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
