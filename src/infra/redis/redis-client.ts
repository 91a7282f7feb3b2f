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
