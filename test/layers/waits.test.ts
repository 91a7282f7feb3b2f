import t from 'tap'
import type { StorageBackend } from '../../src/core/backend.ts'
import { StorageError } from '../../src/errors.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { applyLayers } from '../../src/layers/resilient.ts'
import { Waits } from '../../src/providers/shared/waits.ts'
import { ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const signal = new AbortController().signal

t.test('a wait for an announcement affects neither the breaker, the throttle nor the credentials', async (t) => {
  const clock = new ManualClock()
  const health = new ConnectionHealth(clock).get('scripted', 'c1')
  const failures = [
    new StorageError('PROVIDER_UNAVAILABLE', 'down'),
    new StorageError('PROVIDER_THROTTLED', 'slower', { retryAfterMs: 60_000 }),
    new StorageError('ACCESS_DENIED', 'no', { credentialsRefused: true })
  ]
  let calls = 0
  const spans: string[] = []
  const backend: StorageBackend = Object.assign(new ScriptedBackend(), {
    waitForChange: async () => {
      calls += 1
      throw failures[Math.floor((calls - 1) / 10)] as Error
    }
  })
  const layered = applyLayers(backend, {
    clock,
    timeouts: { ...TEST_TIMEOUTS, totalMs: 1 },
    tracing: {
      span: (name, _attributes, run) => {
        spans.push(name)
        return run()
      }
    },
    provider: 'scripted',
    detailsOf: () => ({}),
    reauth: { limit: undefined, requireReauth: () => Promise.reject(new Error('re-authenticated')) },
    health
  })
  for (let count = 1; count <= 30; count += 1) {
    const outcome = layered.waitForChange!({ scope: '' }, { signal })
    await t.rejects(outcome, failures[Math.floor((count - 1) / 10)] as Error)
    t.equal(calls, count, 'no retry')
  }
  t.equal(health.breaker.state, 'closed')
  t.equal(health.throttle.remainingMs(), 0)
  t.same(spans, [])
})

t.test('a wait ends with false, and a refusal is remembered', async (t) => {
  const waits = new Waits(20)
  t.equal(
    await waits.wait(
      'a',
      { signal },
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error)
          })
        })
    ),
    false
  )
  let calls = 0
  const refuse = async () => {
    calls += 1
    throw new StorageError('UNSUPPORTED', 'no')
  }
  for (let count = 0; count < 3; count += 1)
    await t.rejects(waits.wait('a', { signal }, refuse), { code: 'UNSUPPORTED' })
  t.equal(calls, 1)
  await t.rejects(waits.wait('b', { signal }, refuse), { code: 'UNSUPPORTED' })
  t.equal(calls, 2)
})
