import type { RedisClient } from '../../src/infra/redis/redis-client.ts'
import type { ManualClock } from './clock.ts'

interface Held {
  readonly value: Buffer
  readonly endsAt: number
}

/** Redis in memory, by the test's clock: for what is about processes and outages, not about Redis. */
export class MemoryRedis implements RedisClient {
  readonly held = new Map<string, Held>()
  readonly asked: string[] = []
  /** `hangs`: nothing is answered; `fails`: the connection is gone; `refuses`: Redis itself says no. */
  mode: 'up' | 'hangs' | 'fails' | 'refuses' = 'up'
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  get(key: string): Promise<string | null> {
    return this.#answer('get', () => this.#find(key)?.value.toString() ?? null)
  }

  getBuffer(key: string): Promise<Buffer | null> {
    return this.#answer('getBuffer', () => this.#find(key)?.value ?? null)
  }

  pttl(key: string): Promise<number> {
    return this.#answer('pttl', () => {
      const held = this.#find(key)
      return held === undefined ? -2 : held.endsAt - this.#clock.now()
    })
  }

  set(key: string, value: string | Buffer, _unit: 'PX', ms: number, condition?: 'NX'): Promise<unknown> {
    return this.#answer('set', () => {
      if (condition === 'NX' && this.#find(key) !== undefined) return null
      this.held.set(key, { value: Buffer.from(value), endsAt: this.#clock.now() + ms })
      return 'OK'
    })
  }

  /** The two scripts that there are: both look first whether the caller's token is there. */
  eval(script: string, _keys: number, key = '', token = '', ms = ''): Promise<unknown> {
    return this.#answer('eval', () => {
      if (this.#find(key)?.value.toString() !== token) return 0
      if (script.includes('del')) this.held.delete(key)
      else this.held.set(key, { value: Buffer.from(token), endsAt: this.#clock.now() + Number(ms) })
      return 1
    })
  }

  ping(): Promise<unknown> {
    return this.#answer('ping', () => 'PONG')
  }

  /** The keys of a kind: pages, locks or generations. */
  keys(kind: 'page' | 'lock' | 'generation'): string[] {
    return [...this.held.keys()].filter((key) => key.includes(`:${kind}:`) && this.#find(key) !== undefined)
  }

  #find(key: string): Held | undefined {
    const held = this.held.get(key)
    return held !== undefined && held.endsAt > this.#clock.now() ? held : undefined
  }

  async #answer<T>(what: string, work: () => T): Promise<T> {
    this.asked.push(what)
    await Promise.resolve()
    if (this.mode === 'hangs') return new Promise(() => {})
    if (this.mode === 'fails') throw new Error('Connection is closed.')
    if (this.mode === 'refuses') throw Object.assign(new Error('READONLY'), { name: 'ReplyError' })
    return work()
  }
}
