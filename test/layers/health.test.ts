import t from 'tap'
import { StorageError } from '../../src/domain/errors.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { ManualClock } from '../support/clock.ts'

t.test('a connection keeps its penalty and its breaker until it is forgotten', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const known = health.of('s3', 'c1')
  known.penalty.note(1_000)
  t.equal(health.of('s3', 'c1'), known)
  health.forget('s3', 'c2')
  t.equal(health.of('s3', 'c1'), known)
  health.forget('s3', 'c1')
  t.not(health.of('s3', 'c1'), known)
  t.equal(health.of('s3', 'c1').penalty.remainingMs(), 0)
})

t.test('no two connections share one', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const pairs = [
    ['s3', 'c'],
    ['s', '3c'],
    ['s3","c', ''],
    ['s3', '","c'],
    ['', 's3c'],
    ['s3:c', ''],
    ['s3', ':c']
  ] as const
  t.equal(new Set(pairs.map(([provider, id]) => health.of(provider, id))).size, pairs.length)
})

t.test('the connections that were not used for longest are forgotten', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const first = health.of('s3', 'first')
  const second = health.of('s3', 'second')
  for (let index = 0; index < 4_998; index += 1) health.of('s3', String(index))
  t.equal(health.of('s3', 'first'), first)
  health.of('s3', 'one more')
  t.equal(health.of('s3', 'first'), first)
  t.not(health.of('s3', 'second'), second)
})

t.test('the breakers that are not closed are told with their provider, without being used by that', async (t) => {
  const clock = new ManualClock()
  const health = new ConnectionHealth(clock)
  const down = async (provider: string, id: string): Promise<void> => {
    const { breaker } = health.of(provider, id)
    const fail = () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', ''))
    for (let call = 0; call < 5; call += 1) {
      await t.rejects(breaker.run(new AbortController().signal, fail), { code: 'PROVIDER_UNAVAILABLE' })
    }
  }
  health.of('s3', 'well')
  t.same(health.tripped(), [])
  await down('s3', 'a')
  clock.tick(10_000)
  await down('webdav', 'a')
  const tripped = () => health.tripped().sort((a, b) => a.provider.localeCompare(b.provider))
  t.same(tripped(), [
    { provider: 's3', state: 'half_open' },
    { provider: 'webdav', state: 'open' }
  ])
  health.forget('webdav', 'a')
  t.same(tripped(), [{ provider: 's3', state: 'half_open' }])
  for (let index = 0; index < 4_998; index += 1) health.of('s3', String(index))
  t.same(tripped(), [{ provider: 's3', state: 'half_open' }])
  health.of('s3', 'one more')
  health.of('s3', 'another')
  t.same(tripped(), [], 'the oldest is forgotten, however often it was told')
})

t.test('a throttled connection is told of by its provider', async (t) => {
  const told: string[] = []
  const health = new ConnectionHealth(new ManualClock(), (provider) => told.push(provider))
  health.of('s3', 'a').penalty.hear(new StorageError('PROVIDER_THROTTLED', ''))
  health.of('webdav', 'a').penalty.hear(new StorageError('PROVIDER_THROTTLED', ''))
  t.same(told, ['s3', 'webdav'])
})
