/**
 * A client of Redis or Valkey: what of `ioredis` is used. Its owner connects it, hears its errors and ends it. With
 * `enableOfflineQueue: false` a Redis that is away is noticed sooner; with it nothing waits longer than is told below.
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

/** The names of the methods, for who checks what was handed in. */
export const REDIS_METHODS = [
  'get',
  'getBuffer',
  'pttl',
  'set',
  'eval',
  'ping'
] as const satisfies readonly (keyof RedisClient)[]
