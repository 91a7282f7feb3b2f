import t from 'tap'
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
