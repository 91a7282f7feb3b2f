import type { Clock } from '../../domain/ports.ts'
import type { RedisClient } from './redis-client.ts'

/** What is not there because Redis is not. */
export const UNAVAILABLE = Symbol('Redis is not available')

/** So long a Redis that has failed is left alone. */
const LEFT_ALONE_MS = 2_000
/** An answer that is late is looked for so often. */
const STEPS = 10

export interface RedisGateOptions {
  readonly redis: RedisClient
  /** So long an answer may take, in milliseconds. */
  readonly answerMs: number
  readonly clock: Clock
  /** Why it is left alone from now on. */
  readonly onTrouble: (error: unknown) => void
  /** It answers again. */
  readonly onRecovered: () => void
}

/**
 * The way to a Redis that may be gone. One time-out is all that an outage costs: from then on everybody is told at once
 * that it is not available, those who wait included, until a question that nobody waits for is answered.
 *
 * Not cockatiel's breaker, which lets a caller's own work be the probe: that caller would wait for a dead Redis.
 */
export class RedisGate {
  readonly #options: RedisGateOptions
  #closed: { readonly probeAt: number } | null = null
  #isProbing = false
  #hasEnded = false
  /** Aborted when Redis is given up, for those who wait then. */
  #giving = new AbortController()

  constructor(options: RedisGateOptions) {
    this.#options = options
  }

  /** Never rejects. An error that Redis itself answers says nothing about its health. */
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
      // Given up already by another: only the first one counts.
      if (!giving.aborted && !isReply(error)) this.#close(error)
      return UNAVAILABLE
    }
  }

  /** From now on Redis is not asked any more: its owner is about to close it, which is no trouble to report. */
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
      // In steps, of which one that takes long counts once: a process that is busy must not take that for a Redis that
      // is gone, while the answer lies in its socket.
      let steps = 0
      timer = setInterval(() => {
        steps += 1
        if (steps === STEPS) reject(new Error(`Redis has not answered within ${String(answerMs)} ms`))
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

/** Whether Redis has answered, if only to say no. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
