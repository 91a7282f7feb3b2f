import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { machineMs } from './cluster-clock.ts'
import { askListing } from './cluster-listing.ts'
import type { Faults } from './cluster-disturber.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { type RedisServer, startRedis } from './redis.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** The longest that processes may take to find a Redis that is there. */
const SHARED_MS = 30_000

/** The Redis that processes share, behind a proxy, and how it breaks. */
export class ClusterRedis {
  readonly server: RedisServer
  readonly proxy: TcpProxy
  #probes = 0

  private constructor(server: RedisServer, proxy: TcpProxy) {
    this.server = server
    this.proxy = proxy
  }

  /** Ends with the test. */
  static async start(t: Test): Promise<ClusterRedis> {
    const server = await startRedis(t)
    return new ClusterRedis(server, await TcpProxy.start(t, { host: '127.0.0.1', port: server.port }))
  }

  /** By way of the proxy. */
  get url(): string {
    return `redis://127.0.0.1:${String(this.proxy.port)}`
  }

  /** Past the proxy, which has a busy process to live in where many ask at once. */
  get directUrl(): string {
    return `redis://127.0.0.1:${String(this.server.port)}`
  }

  /** It is gone without a word. */
  vanish(): void {
    this.proxy.mode = 'blackhole'
  }

  /** It can be reached again, by whoever connects anew. */
  appear(): void {
    this.proxy.mode = 'relay'
    this.proxy.killAll()
  }

  /** What may happen to it for so many milliseconds. */
  faults(wait: () => Promise<unknown>): Faults {
    return {
      'redis blackhole': async () => {
        this.vanish()
        await wait()
        this.appear()
      },
      'redis restart': async () => {
        await this.server.kill()
        await wait()
        await this.server.start()
      }
    }
  }

  /**
   * Waits until what one process has loaded is there for all.
   *
   * @throws Error where that takes too long
   */
  async untilShared({ rows, cloud, processes }: ClusterWorld, wait: () => Promise<unknown>): Promise<void> {
    const userId = 'prober'
    if (rows.of(userId).length === 0) await rows.add(userId, 'prober-0')
    const from = machineMs()
    while (machineMs() < from + SHARED_MS) {
      const folder = `probe-${(this.#probes += 1)}`
      for (const process of processes) await askListing(process, { userId, folder })
      if (cloud.callsOf(folder) === 1) return
      await wait()
    }
    throw new Error('The processes share nothing')
  }

  /** All that lies in it, keys and values, past the proxy. */
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

/** @throws Error for a type that nobody thought of */
async function valuesOf(client: Redis, key: Buffer): Promise<Buffer[]> {
  const type = await client.type(key)
  if (type === 'string') return [(await client.getBuffer(key)) ?? Buffer.alloc(0)]
  if (type === 'hash')
    return [...(await client.hkeys(key)).map((field) => Buffer.from(field)), ...(await client.hvalsBuffer(key))]
  if (type === 'set') return await client.smembersBuffer(key)
  if (type === 'zset') return await client.zrangeBuffer(key, 0, -1)
  if (type === 'list') return await client.lrangeBuffer(key, 0, -1)
  // Gone since it was named.
  if (type === 'none') return []
  throw new Error(`What lies in a ${type} is not looked at`)
}
