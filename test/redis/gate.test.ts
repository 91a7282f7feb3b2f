import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import t from 'tap'
import { RedisGate, UNAVAILABLE } from '../../src/redis/gate.ts'
import { ManualClock } from '../support/time/clock.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { until } from '../support/time/until.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'

const ANSWER_MS = 30

function make() {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const troubles: unknown[] = []
  let recoveries = 0
  const gate = new RedisGate({
    redis,
    responseTimeoutMs: ANSWER_MS,
    clock,
    onUnavailable: (error) => troubles.push(error),
    onRecovered: () => (recoveries += 1)
  })
  return {
    clock,
    redis,
    gate,
    troubles,
    recoveries: () => recoveries,
    ask: () => gate.run((client) => client.get('a'))
  }
}

t.test('the gate returns the response of Redis', async (t) => {
  const { redis, ask, gate, troubles } = make()
  t.equal(await ask(), null)
  await gate.run((client) => client.set('a', 'x', 'PX', 1000))
  t.equal(await ask(), 'x')
  redis.mode = 'refuses'
  t.equal(await ask(), UNAVAILABLE, 'an error reply does not count as an outage')
  redis.mode = 'up'
  t.equal(await ask(), 'x')
  t.equal(troubles.length, 0)
})

t.test('a logger that throws after an outage does not end the process', async (t) => {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const gate = new RedisGate({
    redis,
    responseTimeoutMs: ANSWER_MS,
    clock,
    onUnavailable: () => {},
    onRecovered: () => {
      throw new Error('no logger')
    }
  })
  redis.mode = 'fails'
  t.equal(await gate.run((client) => client.get('a')), UNAVAILABLE)
  redis.mode = 'up'
  clock.tick(60_000)
  await until(async () => (await gate.run((client) => client.get('a'))) === null)
})

t.test('an outage costs one timeout: waiting calls fail with the first, later ones fail at once', async (t) => {
  for (const mode of ['hangs', 'fails'] as const) {
    const { redis, ask, troubles } = make()
    redis.mode = mode
    const first = ask()
    await nextTurn()
    t.same(await Promise.all([first, ask(), ask()]), [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE])
    const asked = redis.commands.length
    redis.mode = 'hangs'
    t.equal(await ask(), UNAVAILABLE)
    t.equal(redis.commands.length, asked, 'without a command')
    t.equal(troubles.length, 1)
  }
})

t.test('recovery is probed at intervals, and no call waits for the probe', async (t) => {
  const tick = useManualTimers(t)
  const { clock, redis, ask, troubles, recoveries } = make()
  redis.mode = 'fails'
  await ask()
  clock.tick(2_000)
  redis.mode = 'hangs'
  redis.commands.length = 0
  t.same(await Promise.all([ask(), ask()]), [UNAVAILABLE, UNAVAILABLE])
  t.same(redis.commands, ['ping'], 'one probe for all calls')
  tick(ANSWER_MS)
  await nextTurn()
  await ask()
  t.same(redis.commands, ['ping'], 'no further probe')
  clock.tick(2_000)
  redis.mode = 'up'
  t.equal(await ask(), UNAVAILABLE)
  await nextTurn()
  t.equal(await ask(), null)
  t.equal(recoveries(), 1)
  t.equal(troubles.length, 1)
  redis.mode = 'fails'
  await ask()
  t.equal(troubles.length, 2)
})

t.test('a reply that waits in the socket while the process is busy is not a timeout', async (t) => {
  const { gate, troubles } = make()
  const server = createServer((socket) => socket.end('x')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const answer = await gate.run(async () => {
    // The reply arrives while the event loop is blocked, after its deadline.
    const until = performance.now() + 3 * ANSWER_MS
    while (performance.now() < until);
    const [data] = (await once(socket, 'data')) as [Buffer]
    return data.toString()
  })
  t.equal(answer, 'x')
  t.equal(troubles.length, 0)
})

t.test('a client that throws counts as unavailable', async (t) => {
  const { gate } = make()
  const answer = await gate.run(() => {
    throw new TypeError('no such method')
  })
  t.equal(answer, UNAVAILABLE)
})
