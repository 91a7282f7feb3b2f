import type { Clock } from '../core/time.ts'

/** The result of a call while Redis is unavailable. */
export const UNAVAILABLE = Symbol('Redis is not available')

/** Time without calls after a failure. */
const LEFT_ALONE_MS = 2_000
/** Ticks per timeout. */
const STEPS = 10

export interface RedisGateOptions {
  readonly redis: RedisClient
  /** Timeout of a response in milliseconds. */
  readonly answerMs: number
  readonly clock: Clock
  /** Called when Redis becomes unavailable, with the error. */
  readonly onTrouble: (error: unknown) => void
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
  #closed: { readonly probeAt: number } | null = null
  #isProbing = false
  #hasEnded = false
  /** Aborts the calls in flight when Redis becomes unavailable. */
  #giving = new AbortController()

  constructor(options: RedisGateOptions) {
    this.#options = options
  }

  /** Never rejects. An error response of Redis says nothing about its health. */
  async run<T>(work: (redis: RedisClient) => Promise<T>): Promise<T | typeof UNAVAILABLE> {
    if (this.#hasEnded) return UNAVAILABLE
    if (this.#closed !== null) {
      if (this.#options.clock.now() >= this.#closed.probeAt) void this.#probe()
      return UNAVAILABLE
    }
    const giving = this.#giving.signal
    try {
      return await this.#answered(work, giving)
    } catch (error) {
      // Only the first of several parallel failures counts.
      if (!giving.aborted && !isReply(error)) this.#close(error)
      return UNAVAILABLE
    }
  }

  /** Stops all calls: the owner is about to close the client, which is not a failure to report. */
  end(): void {
    this.#hasEnded = true
  }

  #close(error: unknown): void {
    if (this.#hasEnded) return
    const { clock, onTrouble } = this.#options
    this.#closed = { probeAt: clock.now() + LEFT_ALONE_MS }
    const giving = this.#giving
    this.#giving = new AbortController()
    giving.abort(error)
    onTrouble(error)
  }

  async #probe(): Promise<void> {
    if (this.#isProbing) return
    const { clock, onRecovered } = this.#options
    this.#isProbing = true
    try {
      await this.#answered((redis) => redis.ping(), this.#giving.signal)
      this.#closed = null
      onRecovered()
    } catch {
      this.#closed = { probeAt: clock.now() + LEFT_ALONE_MS }
    } finally {
      this.#isProbing = false
    }
  }

  async #answered<T>(work: (redis: RedisClient) => Promise<T>, giving: AbortSignal): Promise<T> {
    const { redis, answerMs } = this.#options
    let stop: (() => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const given = new Promise<never>((_resolve, reject) => {
      stop = () => {
        reject(giving.reason as Error)
      }
      giving.addEventListener('abort', stop, { once: true })
      // In ticks, of which a delayed one counts once: a busy process must not take its own delay for an outage of
      // Redis while the response is in its socket.
      let steps = 0
      timer = setInterval(() => {
        steps += 1
        if (steps === STEPS) reject(new Error(`Redis did not respond within ${String(answerMs)} ms`))
      }, answerMs / STEPS)
    })
    try {
      return await Promise.race([work(redis), given])
    } finally {
      clearInterval(timer)
      if (stop !== undefined) giving.removeEventListener('abort', stop)
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
