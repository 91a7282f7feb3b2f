import { getEventListeners } from 'node:events'
import { mock } from 'node:test'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { StorageError, type StorageErrorCode } from '../../src/errors.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { backoffMs, sleep } from '../../src/core/time.ts'
import { Throttle } from '../../src/layers/health.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { type RetryOptions, withDeadline, withRetry } from '../../src/layers/retry.ts'
import { ManualClock } from '../support/time/clock.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const signal = new AbortController().signal
const list = { limit: 1, signal }

function fails(code: StorageErrorCode, retryAfterMs?: number): StorageError {
  return new StorageError(code, 'scripted', retryAfterMs === undefined ? {} : { retryAfterMs })
}

/** A backend that fails with each error in turn and then succeeds, with a clock on which waits pass at once. */
function arrange(errors: readonly Error[], options: Partial<RetryOptions> = {}) {
  const bare = new ScriptedBackend()
  const clock = new ManualClock()
  const waits: number[] = []
  bare.list = async () => {
    const error = errors[bare.listCalls.length - 1]
    if (error !== undefined) throw error
    return page([])
  }
  const runner = withRetry(runCall, {
    clock,
    deadlineMs: 30_000,
    random: () => 1,
    sleep: async (waitMs) => {
      waits.push(waitMs)
      clock.tick(waitMs)
    },
    ...options
  })
  return { bare, clock, waits, runner, backend: interceptCalls(bare, runner) }
}

t.test('a transient failure is attempted three times at most', async (t) => {
  for (const code of ['PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'PROVIDER_THROTTLED'] as const) {
    const waitMs = code === 'PROVIDER_THROTTLED' ? 0 : undefined
    const mended = arrange([fails(code, waitMs), fails(code, waitMs)])
    await mended.backend.listFolder(null, list)
    t.equal(mended.bare.listCalls.length, 3)
    const lasting = arrange([fails(code, waitMs), fails(code, waitMs), fails(code, waitMs)])
    await t.rejects(lasting.backend.listFolder(null, list), { code })
    t.equal(lasting.bare.listCalls.length, 3)
  }
})

t.test('a permanent failure is not repeated', async (t) => {
  for (const error of [
    fails('PROVIDER_THROTTLED'),
    fails('FOLDER_NOT_FOUND'),
    fails('LOCKED'),
    fails('PROVIDER_ERROR'),
    new Error('unknown')
  ]) {
    const { backend, bare } = arrange([error])
    t.equal(await backend.listFolder(null, list).catch((thrown: unknown) => thrown), error)
    t.equal(bare.listCalls.length, 1)
  }
})

t.test('uploads and new folders are attempted once, everything else three times', async (t) => {
  const calls: string[] = []
  const failing = (name: string) => () => {
    calls.push(name)
    return Promise.reject(fails('PROVIDER_UNAVAILABLE'))
  }
  const bare = new ScriptedBackend()
  const names = ['listFolder', 'stat', 'download', 'account', 'remove', 'downloadUrl', 'upload', 'createFolder']
  Object.assign(bare, Object.fromEntries(names.map((name) => [name, failing(name)])))
  const runner = withRetry(runCall, {
    clock: new ManualClock(),
    deadlineMs: 30_000,
    sleep: () => Promise.resolve()
  })
  const backend: StorageBackend = interceptCalls(bare, runner)
  await Promise.allSettled([
    backend.listFolder(null, list),
    backend.stat('a', { signal }),
    backend.download('a', { signal }),
    backend.account({ signal }),
    backend.remove?.('a', { signal }),
    backend.downloadUrl?.('a', { signal, expiresInMs: 1 }),
    backend.upload?.({ id: 'a' }, new PassThrough(), { signal }),
    backend.createFolder?.(null, 'a', { signal })
  ])
  for (const name of names) {
    const once = name === 'upload' || name === 'createFolder'
    t.equal(calls.filter((call) => call === name).length, once ? 1 : 3, name)
  }
})

t.test('the waits are random below a bound that doubles', async (t) => {
  const highest = arrange([fails('PROVIDER_UNAVAILABLE'), fails('PROVIDER_UNAVAILABLE')])
  await highest.backend.listFolder(null, list)
  t.same(highest.waits, [500, 1000])
  const lower = arrange([fails('PROVIDER_UNAVAILABLE'), fails('PROVIDER_UNAVAILABLE')], { random: () => 0.25 })
  await lower.backend.listFolder(null, list)
  t.same(lower.waits, [125, 250])
  t.equal(
    backoffMs(30, () => 1),
    32_000
  )
})

t.test('no attempt is made before the Retry-After of the provider', async (t) => {
  const { backend, waits } = arrange([fails('PROVIDER_THROTTLED', 4_000)], { random: () => 0 })
  await backend.listFolder(null, list)
  t.same(waits, [4_000])
  const spread = arrange([fails('PROVIDER_THROTTLED', 4_000)], { random: () => 0.5 })
  await spread.backend.listFolder(null, list)
  t.same(spread.waits, [4_250], 'attempts are spread over time')
})

t.test('no attempt is made before the Retry-After of another call of the connection', async (t) => {
  const clock = new ManualClock()
  const penalty = new Throttle(clock)
  const waits: number[] = []
  const { backend } = arrange([fails('PROVIDER_UNAVAILABLE')], {
    clock,
    throttle: penalty,
    sleep: async (waitMs) => {
      waits.push(waitMs)
      clock.tick(waitMs)
      // Another call receives a Retry-After during this wait.
      if (waits.length === 1) penalty.extend(7_000)
    }
  })
  await backend.listFolder(null, list)
  t.same(waits, [500, 7_000])
})

t.test('a wait that would exceed the deadline is not begun, and the failure is passed on', async (t) => {
  const late = fails('PROVIDER_THROTTLED', 30_000)
  for (const error of [late, fails('PROVIDER_THROTTLED', Infinity), fails('PROVIDER_THROTTLED', NaN)]) {
    const { backend, bare, waits } = arrange([error], { random: () => 0 })
    t.equal(await backend.listFolder(null, list).catch((thrown: unknown) => thrown), error)
    t.same(waits, [])
    t.equal(bare.listCalls.length, 1)
  }
  const inTime = arrange([fails('PROVIDER_THROTTLED', 29_999)], { random: () => 0 })
  await inTime.backend.listFolder(null, list)
  t.same(inTime.waits, [29_999])
})

t.test('the deadline is that of the call, not of the attempt', async (t) => {
  const { backend, bare, clock, waits } = arrange([])
  bare.list = async () => {
    clock.tick(14_900)
    throw fails('PROVIDER_TIMEOUT')
  }
  await t.rejects(backend.listFolder(null, list), { code: 'PROVIDER_TIMEOUT' })
  t.same(waits, [500])
  t.equal(bare.listCalls.length, 2)
})

t.test('an outer deadline ends the call, although its error is transient', async (t) => {
  const tick = useManualTimers(t)
  const { runner, bare, waits } = arrange([])
  bare.list = (_folder, call) =>
    new Promise((_resolve, reject) => {
      call.signal.addEventListener('abort', () => {
        reject(call.signal.reason)
      })
    })
  const work = interceptCalls(bare, withDeadline(runner, 30_000)).listFolder(null, list)
  tick(30_000)
  await t.rejects(work, { code: 'PROVIDER_TIMEOUT' })
  await nextTurn()
  t.same(waits, [])
  t.equal(bare.listCalls.length, 1)
})

t.test('an abort ends the wait with the reason and removes all listeners', async (t) => {
  useManualTimers(t)
  const { backend, bare } = arrange([fails('PROVIDER_UNAVAILABLE')], { sleep })
  const controller = new AbortController()
  const cleared = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => {
    cleared.mock.restore()
  })
  const reason = new Error('left')
  const work = backend.listFolder(null, { limit: 1, signal: controller.signal })
  await nextTurn()
  t.equal(getEventListeners(controller.signal, 'abort').length, 1, 'it is waiting')
  controller.abort(reason)
  t.equal(await work.catch((thrown: unknown) => thrown), reason)
  t.equal(cleared.mock.callCount(), 1)
  t.equal(getEventListeners(controller.signal, 'abort').length, 0)
  t.equal(bare.listCalls.length, 1)
})

t.test('a finished wait leaves no listener, and an aborted signal starts no wait', async (t) => {
  const tick = useManualTimers(t)
  const controller = new AbortController()
  const rest = sleep(10, controller.signal)
  tick(10)
  await rest
  t.equal(getEventListeners(controller.signal, 'abort').length, 0)
  controller.abort(new Error('left'))
  await t.rejects(sleep(10, controller.signal), { message: 'left' })
})
