import type { RedisClient } from '../../../src/redis/gate.ts'
import type { ManualClock } from '../time/clock.ts'

interface StoredValue {
  readonly value: Buffer
  readonly expiresAt: number
}

/** Redis in memory, driven by the test's clock, for tests of processes and outages. */
export class MemoryRedis implements RedisClient {
  readonly values = new Map<string, StoredValue>()
  readonly commands: string[] = []
  /** `hangs`: no replies; `fails`: the connection is lost; `refuses`: Redis replies with errors. */
  mode: 'up' | 'hangs' | 'fails' | 'refuses' = 'up'
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  get(key: string): Promise<string | null> {
    return this.#run('get', () => this.#find(key)?.value.toString() ?? null)
  }

  getBuffer(key: string): Promise<Buffer | null> {
    return this.#run('getBuffer', () => this.#find(key)?.value ?? null)
  }

  pttl(key: string): Promise<number> {
    return this.#run('pttl', () => {
      const stored = this.#find(key)
      return stored === undefined ? -2 : stored.expiresAt - this.#clock.now()
    })
  }

  set(key: string, value: string | Buffer, _unit: 'PX', ms: number, condition?: 'NX'): Promise<unknown> {
    return this.#run('set', () => {
      if (condition === 'NX' && this.#find(key) !== undefined) return null
      this.values.set(key, { value: Buffer.from(value), expiresAt: this.#clock.now() + ms })
      return 'OK'
    })
  }

  /** Implements the two scripts in use. Both first check that the caller's token is stored. */
  eval(script: string, _keys: number, key = '', token = '', ms = ''): Promise<unknown> {
    return this.#run('eval', () => {
      if (this.#find(key)?.value.toString() !== token) return 0
      if (script.includes('del')) this.values.delete(key)
      else this.values.set(key, { value: Buffer.from(token), expiresAt: this.#clock.now() + Number(ms) })
      return 1
    })
  }

  ping(): Promise<unknown> {
    return this.#run('ping', () => 'PONG')
  }

  /** Returns the keys of one kind: pages, locks or generations. */
  keys(kind: 'page' | 'lock' | 'generation'): string[] {
    return [...this.values.keys()].filter((key) => key.includes(`:${kind}:`) && this.#find(key) !== undefined)
  }

  #find(key: string): StoredValue | undefined {
    const stored = this.values.get(key)
    return stored !== undefined && stored.expiresAt > this.#clock.now() ? stored : undefined
  }

  async #run<T>(command: string, operation: () => T): Promise<T> {
    this.commands.push(command)
    await Promise.resolve()
    if (this.mode === 'hangs') return new Promise(() => {})
    if (this.mode === 'fails') throw new Error('Connection is closed.')
    if (this.mode === 'refuses') throw Object.assign(new Error('READONLY'), { name: 'ReplyError' })
    return operation()
  }
}
