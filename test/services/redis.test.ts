import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/core/time.ts'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { PageLock } from '../../src/redis/page-lock.ts'
import { RedisGate, UNAVAILABLE } from '../../src/redis/gate.ts'
import { SharedPages } from '../../src/redis/shared-pages.ts'
import { openRedis } from '../../server/health-routes.ts'
import { Deferred } from '../support/time/deferred.ts'
import { isRedisInstalled, type RedisServer, startRedis } from '../support/redis/redis.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const FOLDER = { userId: 'ann', provider: 's3', folderId: 'f', connectionId: 'c' }
const sealer = createBytesSealer(
  createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } }),
  'test'
)
const signal = new AbortController().signal

/** The shared tier of one process, with the client of the ready-made server. */
async function openProcess(t: Test, server: RedisServer) {
  const redis = openRedis(`redis://127.0.0.1:${String(server.port)}`)
  t.teardown(() => {
    redis.disconnect()
  })
  const told = { troubles: 0, recoveries: 0 }
  const pages = new SharedPages({
    redis,
    sealer,
    clock: systemClock,
    pageTtlMs: 60_000,
    leaseMs: 2_000,
    maxPagesPerUser: 250,
    maxBytesPerUser: 16 * 1024 * 1024,
    random: () => 0.5,
    onOutcome: () => {},
    onUnavailable: () => (told.troubles += 1),
    onRecovered: () => (told.recoveries += 1)
  })
  await until(() => redis.status === 'ready')
  const page = async (key: string, load: () => Promise<Buffer>) =>
    (await pages.getOrLoad('ann', key, load, signal)).bytes.toString()
  return { redis, pages, page, told }
}

t.test('shared pages on a real Redis', async (t) => {
  if (!requireService(t, 'redis', isRedisInstalled)) return
  const server = await startRedis(t)

  await t.test('a page that one process loads is found by another, with its remaining lifetime', async (t) => {
    const [one, two] = [await openProcess(t, server), await openProcess(t, server)]
    const bytes = randomBytes(300_000)
    await one.pages.getOrLoad('ann', 'k', async () => bytes, signal)
    await one.pages.flush()
    const found = await two.pages.getOrLoad('ann', 'k', () => Promise.reject(new Error('not to be loaded')), signal)
    t.ok(found.bytes.equals(bytes))
    t.ok(found.ageMs >= 0 && found.ageMs < 5_000)
    const keys = await one.redis.keys('fastify-cloud-storage:page:*')
    t.equal(keys.length, 1)
    t.ok((await one.redis.pttl(keys[0] ?? '')) > 50_000)
    t.same(await one.redis.keys('*:lock:*'), [])
  })

  await t.test('a lock has its own lifetime and is released by its owner only', async (t) => {
    const { redis } = await openProcess(t, server)
    const gate = new RedisGate({
      redis,
      responseTimeoutMs: 5_000,
      clock: systemClock,
      onUnavailable: (error) => t.fail(String(error)),
      onRecovered: () => {}
    })
    const lock = await PageLock.acquire(gate, 'a lock')
    if (lock === null || lock === UNAVAILABLE) throw new Error('the lock is free')
    t.equal(await PageLock.acquire(gate, 'a lock'), null)
    await redis.pexpire('a lock', 1_000)
    await until(async () => (await redis.pttl('a lock')) > 1_000)
    await redis.set('a lock', 'somebody else', 'PX', 1_000)
    await new Promise((resolve) => setTimeout(resolve, 800))
    t.ok((await redis.pttl('a lock')) < 300, 'the lifetime is not extended')
    await lock.release()
    t.equal(await redis.get('a lock'), 'somebody else')
    await redis.del('a lock')
    const next = await PageLock.acquire(gate, 'a lock')
    if (next === null || next === UNAVAILABLE) throw new Error('the lock is free')
    await next.release()
    t.equal(await redis.exists('a lock'), 0)
  })

  await t.test('an invalidation by one process is visible to another', async (t) => {
    const [one, two] = [await openProcess(t, server), await openProcess(t, server)]
    const before = await one.pages.getGeneration(FOLDER)
    t.equal(await two.pages.getGeneration(FOLDER), before)
    one.pages.invalidate({ of: 'folder', userId: 'ann', provider: 's3', folderId: 'f' })
    const after = await one.pages.getGeneration(FOLDER)
    t.not(after, before)
    await until(async () => (await two.pages.getGeneration(FOLDER)) === after)
    t.equal(await one.pages.getGeneration(FOLDER), after)
  })

  await t.test('a Redis that is killed and restarted empty fails no request', async (t) => {
    const { pages, page, told } = await openProcess(t, server)
    const before = await pages.getGeneration(FOLDER)
    await page('k2', async () => Buffer.from('page'))
    await server.kill()
    t.equal(await page('k2', async () => Buffer.from('own')), 'own')
    await until(() => told.troubles === 1)
    t.equal(await pages.getGeneration(FOLDER), before)
    pages.invalidate({ of: 'all' })
    const own = await pages.getGeneration(FOLDER)
    t.not(own, before)
    await server.start()
    await until(async () => {
      await page('k3', async () => Buffer.from('x'))
      return told.recoveries === 1
    })
    const other = await openProcess(t, server)
    const [all = ''] = own.split(' ')
    await until(async () => (await other.pages.getGeneration(FOLDER)).startsWith(all))
    t.pass('invalidations during the outage take effect')
    await page('k4', async () => Buffer.from('page'))
    await pages.flush()
    t.equal(await other.page('k4', () => Promise.reject(new Error('not to be loaded'))), 'page')
  })

  await t.test('a paused Redis costs one timeout, and a load continues without it', async (t) => {
    const { redis, page, told } = await openProcess(t, server)
    const slow = new Deferred<Buffer>()
    const loading = page('k5', () => slow.promise)
    await until(async () => (await redis.keys('*:lock:*')).length === 1)
    server.pause()
    t.same(await Promise.all(['a', 'b', 'c'].map((key) => page(key, async () => Buffer.from(key)))), ['a', 'b', 'c'])
    t.equal(told.troubles, 1)
    slow.resolve(Buffer.from('slow'))
    t.equal(await loading, 'slow')
    server.resume()
  })

  await t.test('a client that queues commands while it is offline times out', async (t) => {
    const redis = new Redis(server.port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 100 })
    redis.on('error', () => {})
    t.teardown(() => {
      redis.disconnect()
    })
    await server.stop()
    const gate = new RedisGate({
      redis,
      responseTimeoutMs: 100,
      clock: systemClock,
      onUnavailable: () => {},
      onRecovered: () => {}
    })
    t.equal(await gate.run((client) => client.get('a')), UNAVAILABLE)
    await server.start()
  })
})
