import type { RedisClient } from '../../../src/redis/gate.ts'
import type { ManualClock } from '../time/clock.ts'

interface Held {
  readonly value: Buffer
  readonly endsAt: number
}

/** Redis in memory, driven by the test's clock, for tests of processes and outages. */
export class MemoryRedis implements RedisClient {
  readonly held = new Map<string, Held>()
  readonly asked: string[] = []
  /** `hangs`: no replies; `fails`: the connection is lost; `refuses`: Redis replies with errors. */
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

  /** Implements the two scripts in use. Both first check that the caller's token is stored. */
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

  /** Returns the keys of one kind: pages, locks or generations. */
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
