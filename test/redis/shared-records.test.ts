import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Moment } from '../../src/core/time.ts'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { RedisGate } from '../../src/redis/gate.ts'
import { RedisRecords } from '../../src/redis/shared-records.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { ManualClock } from '../support/time/clock.ts'

const keyRing = createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } })
const BYTES = Buffer.from('record')

function start() {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  /** @param aheadMs how far the wall clock of the instance is ahead */
  const instance = (aheadMs = 0) => {
    const ownClock = { now: () => clock.now(), date: () => clock.date() + aheadMs }
    const gate = new RedisGate({
      redis,
      responseTimeoutMs: 1_000,
      clock,
      onUnavailable: () => {},
      onRecovered: () => {}
    })
    const sealer = createBytesSealer(keyRing, 'test')
    const records = new RedisRecords({ gate, sealer, clock: ownClock, nameOf: (kind, key) => `:${kind}:${key}` })
    return { records, now: () => new Moment(ownClock) }
  }
  return { clock, redis, instance }
}

t.test('a record has the age of its moment', async (t) => {
  const { clock, instance } = start()
  const { records, now } = instance()
  const moment = now()
  clock.tick(2_000)
  t.ok(await records.write('k', BYTES, moment, false))
  clock.tick(3_000)
  t.same(await records.read('k'), { bytes: BYTES, ageMs: 5_000 })
  clock.suspend(4_000)
  t.match(await records.read('k'), { ageMs: 9_000 })
  clock.tick(3_600_000)
  t.equal(await records.read('k'), null)
})

t.test(
  'the clock of Redis counts if that of the reader is behind, and a record of the future has no age',
  async (t) => {
    const { clock, instance } = start()
    const { records, now } = instance()
    await records.write('k', BYTES, now(), false)
    clock.tick(5_000)
    t.match(await instance(-4_000).records.read('k'), { ageMs: 5_000 })
    t.match(await instance(4_000).records.read('k'), { ageMs: 9_000 })
    t.match(await instance(-6_001).records.read('k'), { ageMs: Infinity })
  }
)

t.test('the first record stays, unless it is to be replaced', async (t) => {
  const { instance } = start()
  const { records, now } = instance()
  t.ok(await records.write('k', BYTES, now(), true))
  t.notOk(await records.write('k', Buffer.from('second'), now(), true))
  t.match(await records.read('k'), { bytes: BYTES })
  t.ok(await records.write('k', Buffer.from('second'), now(), false))
  t.match(await records.read('k'), { bytes: Buffer.from('second') })
})

t.test('a record that was not sealed for its key is none', async (t) => {
  const { redis, instance } = start()
  const { records, now } = instance()
  await records.write('k', BYTES, now(), false)
  redis.values.set(':record:other', redis.values.get(':record:k')!)
  t.equal(await records.read('other'), null)
  t.equal(redis.values.get(':record:k')!.value.includes('record'), false)
})

t.test('without Redis the records are unavailable', async (t) => {
  const { redis, instance } = start()
  const { records, now } = instance()
  redis.mode = 'fails'
  t.equal(await records.read('k'), 'unavailable')
  t.notOk(await records.write('k', BYTES, now(), true))
  t.equal(await records.lock('k'), 'unavailable')
})

t.test('one instance has the lock of a record', async (t) => {
  const { instance } = start()
  const lock = await instance().records.lock('k')
  t.equal(await instance().records.lock('k'), null)
  if (lock !== null && lock !== 'unavailable') await lock.release()
  const next = await instance().records.lock('k')
  if (next === null || next === 'unavailable') return t.fail('it was released')
  await next.release()
})
