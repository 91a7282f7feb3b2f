import { randomBytes } from 'node:crypto'
import { type RedisGate, UNAVAILABLE } from './gate.ts'

/** Lifetime of a lock after its last extension. The owner extends it three times in that time. */
const LOCK_TTL_MS = 2_000
const EXTEND_SCRIPT = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`
const RELEASE_SCRIPT = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`

/**
 * The lock of a process that loads a page for all. An optimisation only: a process that was paused or disconnected
 * may assume that it still holds a lock that another one has taken. The page is then loaded twice.
 */
export class PageLock {
  readonly #gate: RedisGate
  readonly #name: string
  readonly #token: string
  readonly #timer: NodeJS.Timeout

  private constructor(gate: RedisGate, name: string, token: string) {
    this.#gate = gate
    this.#name = name
    this.#token = token
    this.#timer = setInterval(() => {
      void gate.run((redis) => redis.eval(EXTEND_SCRIPT, 1, name, token, String(LOCK_TTL_MS)))
    }, LOCK_TTL_MS / 3)
    this.#timer.unref()
  }

  /** Returns `null` if another process holds the lock. */
  static async acquire(gate: RedisGate, name: string): Promise<PageLock | null | typeof UNAVAILABLE> {
    const token = randomBytes(12).toString('base64url')
    const reply = await gate.run((redis) => redis.set(name, token, 'PX', LOCK_TTL_MS, 'NX'))
    if (reply === UNAVAILABLE) return UNAVAILABLE
    return reply === null ? null : new PageLock(gate, name, token)
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#gate.run((redis) => redis.eval(RELEASE_SCRIPT, 1, this.#name, this.#token))
  }
}
