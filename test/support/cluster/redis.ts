import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { monotonicMs } from './clock.ts'
import { requestListing } from './listing.ts'
import type { Faults } from './nemesis.ts'
import type { ClusterWorld } from './world.ts'
import { type RedisServer, startRedis } from '../redis/redis.ts'
import { TcpProxy } from '../process/tcp-proxy.ts'

/** The longest time in which processes must reconnect to a Redis that is available. */
const RECONNECT_TIMEOUT_MS = 30_000

/** The Redis server that the processes share, behind a proxy, with its faults. */
export class ClusterRedis {
  readonly server: RedisServer
  readonly proxy: TcpProxy
  #probes = 0

  private constructor(server: RedisServer, proxy: TcpProxy) {
    this.server = server
    this.proxy = proxy
  }

  /** Stops at teardown. */
  static async start(t: Test): Promise<ClusterRedis> {
    const server = await startRedis(t)
    return new ClusterRedis(server, await TcpProxy.start(t, { host: '127.0.0.1', port: server.port }))
  }

  /** Through the proxy. */
  get url(): string {
    return `redis://127.0.0.1:${String(this.proxy.port)}`
  }

  /** Bypasses the proxy. The proxy lives in a process that is too busy when many processes send requests. */
  get directUrl(): string {
    return `redis://127.0.0.1:${String(this.server.port)}`
  }

  /** Makes Redis unreachable without closing connections. */
  disconnect(): void {
    this.proxy.mode = 'blackhole'
  }

  /** Makes Redis reachable again for new connections. */
  reconnect(): void {
    this.proxy.mode = 'relay'
    this.proxy.resetAll()
  }

  /** Faults of Redis. `wait` determines how long each lasts. */
  faults(wait: () => Promise<unknown>): Faults {
    return {
      'redis blackhole': async () => {
        this.disconnect()
        await wait()
        this.reconnect()
      },
      'redis restart': async () => {
        await this.server.kill()
        await wait()
        await this.server.start()
      }
    }
  }

  /**
   * Waits until a listing that one process has loaded is served by all of them.
   * @throws Error if that takes too long
   */
  async waitUntilShared({ rows, cloud, processes }: ClusterWorld, wait: () => Promise<unknown>): Promise<void> {
    const userId = 'prober'
    if (rows.rowsOf(userId).length === 0) await rows.add(userId, 'prober-0')
    const startedAt = monotonicMs()
    while (monotonicMs() < startedAt + RECONNECT_TIMEOUT_MS) {
      const folder = `probe-${(this.#probes += 1)}`
      for (const process of processes) await requestListing(process, { userId, folder })
      if (cloud.callCount(folder) === 1) return
      await wait()
    }
    throw new Error('The processes share nothing')
  }

  /** Returns all keys and values, bypassing the proxy. */
  async contents(): Promise<Buffer[]> {
    const client = new Redis(this.server.port, '127.0.0.1')
    try {
      const keys = await client.keysBuffer('*')
      return (await Promise.all(keys.map(async (key) => [key, ...(await valuesOf(client, key))]))).flat()
    } finally {
      client.disconnect()
    }
  }
}

/** @throws Error for an unsupported type */
async function valuesOf(client: Redis, key: Buffer): Promise<Buffer[]> {
  const type = await client.type(key)
  if (type === 'string') return [(await client.getBuffer(key)) ?? Buffer.alloc(0)]
  if (type === 'hash')
    return [...(await client.hkeys(key)).map((field) => Buffer.from(field)), ...(await client.hvalsBuffer(key))]
  if (type === 'set') return await client.smembersBuffer(key)
  if (type === 'zset') return await client.zrangeBuffer(key, 0, -1)
  if (type === 'list') return await client.lrangeBuffer(key, 0, -1)
  // Deleted since the key was listed.
  if (type === 'none') return []
  throw new Error(`What lies in a ${type} is not looked at`)
}
