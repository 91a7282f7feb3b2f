import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import { Throttle, withThrottleDetection, withThrottleGate } from '../../src/layers/health.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { withRetry } from '../../src/layers/retry.ts'
import { ManualClock } from '../support/time/clock.ts'
import { page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const signal = new AbortController().signal
const list = { limit: 1, signal }

function throttled(retryAfterMs?: number): StorageError {
  return new StorageError('PROVIDER_THROTTLED', 'scripted', retryAfterMs === undefined ? {} : { retryAfterMs })
}

function arrange(onThrottled?: () => void) {
  const bare = new ScriptedBackend()
  const clock = new ManualClock()
  const throttle = new Throttle(clock, onThrottled)
  const runner = withThrottleGate(withThrottleDetection(runCall, throttle), throttle)
  return { bare, clock, throttle, backend: interceptCalls(bare, runner) }
}

t.test('while the provider is throttling no call is made, and the error has the remaining time', async (t) => {
  const { bare, clock, backend } = arrange()
  bare.list = () => Promise.reject(throttled(20_000))
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_THROTTLED', retryAfterMs: 20_000 })
  clock.tick(7_500.5)
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_THROTTLED', retryAfterMs: 12_500 })
  await t.rejects(backend.stat('a', { signal }), { code: 'PROVIDER_THROTTLED' }, 'nor with another method')
  clock.tick(12_499)
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_THROTTLED', retryAfterMs: 1 })
  t.equal(bare.listCalls.length, 1)
  bare.list = async () => page([])
  clock.tick(0.5)
  await backend.listFolder(null, list)
  t.equal(bare.listCalls.length, 2)
})

t.test('a later shorter wait does not shorten a longer one, and a longer one extends it', async (t) => {
  const { clock, throttle } = arrange()
  throttle.extend(10_000)
  throttle.extend(1_000)
  t.equal(throttle.remainingMs(), 10_000)
  clock.tick(5_000)
  throttle.extend(10_000)
  t.equal(throttle.remainingMs(), 10_000)
})

t.test('a server cannot block a connection for more than an hour', async (t) => {
  const { clock, throttle } = arrange()
  throttle.extend(Number.MAX_SAFE_INTEGER)
  t.equal(throttle.remainingMs(), 3_600_000)
  throttle.extend(Infinity)
  clock.tick(3_600_000)
  t.equal(throttle.remainingMs(), 0)
})

t.test('a throttle without a time is waited out by its connection, twice as long each time', async (t) => {
  const { bare, clock, throttle, backend } = arrange()
  bare.list = () => Promise.reject(throttled())
  for (const waitMs of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
    const calls = [backend.listFolder('a', list), backend.listFolder('b', list)]
    for (const call of calls) await t.rejects(call, { code: 'PROVIDER_THROTTLED', retryAfterMs: waitMs })
    t.equal(throttle.remainingMs(), waitMs, 'concurrent calls double it once')
    const asked = bare.listCalls.length
    await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_THROTTLED', retryAfterMs: waitMs })
    t.equal(bare.listCalls.length, asked, 'the provider is not called')
    clock.tick(waitMs)
  }
  bare.list = async () => page([])
  await backend.listFolder(null, list)
  bare.list = () => Promise.reject(throttled())
  await t.rejects(backend.listFolder(null, list))
  t.equal(throttle.remainingMs(), 5_000, 'a success resets it')
})

t.test('an error without a wait sets none', async (t) => {
  const { bare, throttle, backend } = arrange()
  for (const waitMs of [0, -1, NaN]) throttle.extend(waitMs)
  bare.list = () => Promise.reject(throttled(0))
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_THROTTLED', retryAfterMs: 0 })
  bare.list = () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'scripted', { retryAfterMs: 5_000 }))
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_UNAVAILABLE' })
  t.equal(throttle.remainingMs(), 0)
})

t.test('the wall clock has no influence', async (t) => {
  const { clock, throttle } = arrange()
  throttle.extend(10_000)
  clock.setBack(3_600_000)
  t.equal(throttle.remainingMs(), 10_000)
  clock.suspend(7_200_000)
  t.equal(throttle.remainingMs(), 10_000)
})

t.test('an inner retry blocks other calls at once, and is not refused itself', async (t) => {
  const bare = new ScriptedBackend()
  const clock = new ManualClock()
  const throttle = new Throttle(clock)
  const refused: unknown[] = []
  const runner = withThrottleGate(
    withRetry(withThrottleDetection(runCall, throttle), {
      clock,
      deadlineMs: 30_000,
      random: () => 0,
      sleep: async (waitMs) => {
        refused.push(await backend.stat('a', { signal }).catch((error: unknown) => error))
        clock.tick(waitMs)
      }
    }),
    throttle
  )
  const backend = interceptCalls(bare, runner)
  bare.list = async () => {
    if (bare.listCalls.length === 1) throw throttled(3_000)
    return page([])
  }
  await backend.listFolder(null, list)
  t.equal(bare.listCalls.length, 2)
  t.match(refused, [{ code: 'PROVIDER_THROTTLED', retryAfterMs: 3_000 }])
})

t.test('each throttling response is reported once', async (t) => {
  let told = 0
  const { bare, clock, throttle, backend } = arrange(() => {
    told += 1
  })
  bare.list = () => Promise.reject(throttled(1_000))
  await t.rejects(backend.listFolder(null, list))
  t.equal(told, 1)
  await t.rejects(backend.listFolder(null, list))
  t.equal(told, 1, 'a refusal by the layer is not reported')
  clock.tick(1_000)
  bare.list = () => Promise.reject(throttled())
  await t.rejects(backend.listFolder(null, list))
  t.equal(told, 2, 'a response without a time')
  clock.tick(5_000)
  bare.list = () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'scripted', { retryAfterMs: 5_000 }))
  await t.rejects(backend.listFolder(null, list))
  t.equal(told, 2)
  const shared = throttled(1_000)
  bare.list = () => Promise.reject(shared)
  await Promise.allSettled([backend.listFolder('a', list), backend.listFolder('b', list)])
  t.equal(told, 3, 'a response that two calls share')
  t.equal(throttle.remainingMs(), 1_000)
})

t.test('an aborted signal takes precedence over the throttle', async (t) => {
  const { throttle, backend } = arrange()
  throttle.extend(1_000)
  const left = AbortSignal.abort(new Error('left'))
  await t.rejects(backend.listFolder(null, { limit: 1, signal: left }), { message: 'left' })
})
