import { PassThrough } from 'node:stream'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { StorageError, type StorageErrorCode } from '../../src/errors.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { Breaker } from '../../src/core/breaker.ts'
import { withBreaker } from '../../src/layers/health.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { withDeadline } from '../../src/layers/retry.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { until } from '../support/time/until.ts'

const signal = new AbortController().signal

function arrange() {
  const bare = new ScriptedBackend()
  const clock = new ManualClock()
  const breaker = new Breaker(clock)
  const uploads: Deferred<undefined>[] = []
  const full: StorageBackend = Object.assign(bare, {
    upload: async () => {
      const upload = new Deferred<undefined>()
      uploads.push(upload)
      await upload.promise
      return entry('up')
    }
  })
  const backend = interceptCalls(full, withBreaker(runCall, breaker))
  const answer = (code?: StorageErrorCode): void => {
    bare.list = () => (code === undefined ? Promise.resolve(page([])) : Promise.reject(new StorageError(code, code)))
  }
  const list = (of = signal) => backend.listFolder(null, { limit: 1, signal: of })
  /** Makes one call with each outcome. */
  const have = async (...outcomes: (StorageErrorCode | undefined)[]): Promise<void> => {
    for (const outcome of outcomes) {
      answer(outcome)
      await list().catch(() => undefined)
    }
  }
  return { bare, clock, breaker, backend, uploads, answer, list, have }
}

const FIVE = Array<StorageErrorCode>(5).fill('PROVIDER_UNAVAILABLE')
const FOUR = FIVE.slice(1)

async function isOpen(t: Test, { bare, list }: ReturnType<typeof arrange>, retryAfterMs: number): Promise<void> {
  const calls = bare.listCalls.length
  await t.rejects(list(), { code: 'PROVIDER_UNAVAILABLE', message: /failed repeatedly/, retryAfterMs })
  t.equal(bare.listCalls.length, calls, 'no call')
}

t.test('five failures in a row open the circuit, and refused calls have the remaining time', async (t) => {
  const arranged = arrange()
  const { clock, have, backend } = arranged
  await have(...FOUR, 'PROVIDER_TIMEOUT')
  await isOpen(t, arranged, 10_000)
  clock.tick(3_999.5)
  await isOpen(t, arranged, 6_001)
  await t.rejects(backend.stat('a', { signal }), { code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 6_001 })
  const upload = async (): Promise<void> => {
    await backend.upload?.({ id: 'a' }, new PassThrough(), { signal })
  }
  await t.rejects(upload(), { code: 'PROVIDER_UNAVAILABLE', message: /failed repeatedly/ })
})

t.test('four failures do not open it, nor do five with a success between them', async (t) => {
  for (const up of [undefined, 'FOLDER_NOT_FOUND', 'PROVIDER_THROTTLED', 'ACCESS_DENIED'] as const) {
    const { bare, have } = arrange()
    await have(...FOUR, up, ...FOUR, up)
    t.equal(bare.listCalls.length, 10, up ?? 'success')
  }
})

t.test('errors that say nothing about the provider are neither failures nor successes', async (t) => {
  for (const code of ['INVALID_REQUEST', 'PROVIDER_ERROR', 'INTERNAL'] as const) {
    const arranged = arrange()
    await arranged.have(...FOUR, ...Array<StorageErrorCode>(5).fill(code))
    t.equal(arranged.bare.listCalls.length, 9, code)
    await arranged.have('PROVIDER_UNAVAILABLE')
    await isOpen(t, arranged, 10_000)

    const { bare, have } = arrange()
    await have(...FOUR.slice(1), ...Array<StorageErrorCode>(5).fill(code), 'PROVIDER_UNAVAILABLE', undefined)
    t.equal(bare.listCalls.length, 10, `${code} is not a failure`)
  }
})

t.test('any response of the provider counts as a success', async (t) => {
  const { bare, have, list } = arrange()
  await have(...FOUR)
  const failed = new StorageError('PROVIDER_UNAVAILABLE', 'It failed to process this request.', { responded: true })
  bare.list = () => Promise.reject(failed)
  for (let count = 0; count < 10; count++) await t.rejects(list(), failed)
  t.equal(bare.listCalls.length, 14, 'each call was made')
  await have(...FOUR)
  t.equal(bare.listCalls.length, 18, 'and resets the count of failures')
})

t.test('an abort by the caller is not a failure of the provider', async (t) => {
  const arranged = arrange()
  const { bare, have, list } = arranged
  await have(...FOUR)
  const controller = new AbortController()
  bare.list = async () => {
    controller.abort(new Error('left'))
    throw new StorageError('PROVIDER_UNAVAILABLE', 'torn down')
  }
  await t.rejects(list(controller.signal))
  await t.rejects(list(controller.signal), { message: 'left' })
  t.equal(bare.listCalls.length, 5, 'an aborted signal starts no call')
  await have('PROVIDER_UNAVAILABLE')
  t.equal(bare.listCalls.length, 6, 'and did not count as the fifth failure')
  await isOpen(t, arranged, 10_000)
})

t.test('after ten seconds one call probes, and others are refused at once', async (t) => {
  const arranged = arrange()
  const { bare, clock, have, list } = arranged
  await have(...FIVE)
  clock.tick(9_999)
  await isOpen(t, arranged, 1)
  clock.tick(1)
  const probe = new Deferred<ReturnType<typeof page>>()
  bare.list = () => probe.promise
  const probing = list()
  await until(() => bare.listCalls.length === 6)
  await isOpen(t, arranged, 1_000)
  probe.resolve(page([]))
  await probing
  await have(undefined, ...FOUR, undefined)
  t.equal(bare.listCalls.length, 12, 'closed, with a new count')
})

t.test('any response of a working provider closes the circuit and resets the count', async (t) => {
  const { bare, clock, have } = arrange()
  await have(...FIVE)
  clock.tick(10_000)
  await have('FOLDER_NOT_FOUND', ...FOUR, undefined)
  t.equal(bare.listCalls.length, 11)
})

t.test('a failed probe opens the circuit for another ten seconds', async (t) => {
  const arranged = arrange()
  const { clock, have } = arranged
  await have(...FIVE)
  clock.tick(10_000)
  await have('PROVIDER_TIMEOUT')
  await isOpen(t, arranged, 10_000)
})

t.test('the state is the one that the next call meets, even without calls', async (t) => {
  const { bare, breaker, clock, have, list } = arrange()
  t.equal(breaker.state, 'closed', 'before its first call')
  await have(...FOUR)
  t.equal(breaker.state, 'closed')
  await have('PROVIDER_UNAVAILABLE')
  t.equal(breaker.state, 'open')
  clock.tick(9_999)
  t.equal(breaker.state, 'open')
  clock.tick(1)
  t.equal(breaker.state, 'half_open', 'the next call would probe')
  const probe = new Deferred<ReturnType<typeof page>>()
  bare.list = () => probe.promise
  const probing = list()
  await until(() => bare.listCalls.length === 6)
  t.equal(breaker.state, 'half_open', 'a call is probing')
  probe.resolve(page([]))
  await probing
  t.equal(breaker.state, 'closed')

  await have(...FIVE)
  clock.tick(10_000)
  await have('PROVIDER_UNAVAILABLE')
  t.equal(breaker.state, 'open', 'after a failed probe')
  clock.tick(10_000)
  await have('INVALID_REQUEST')
  t.equal(breaker.state, 'half_open', 'after an inconclusive probe')
})

t.test('after an inconclusive probe the next call probes', async (t) => {
  const arranged = arrange()
  const { bare, clock, have, list, answer } = arranged
  await have(...FIVE)
  clock.tick(10_000)
  const controller = new AbortController()
  bare.list = async () => {
    controller.abort(new Error('left'))
    throw controller.signal.reason
  }
  await t.rejects(list(controller.signal), { message: 'left' })
  answer('INVALID_REQUEST')
  await t.rejects(list(), { code: 'INVALID_REQUEST' })
  answer('PROVIDER_UNAVAILABLE')
  await t.rejects(list(), { code: 'PROVIDER_UNAVAILABLE', message: 'PROVIDER_UNAVAILABLE' })
  await isOpen(t, arranged, 10_000)
})

t.test('a call that began before the circuit opened neither closes it nor opens it again', async (t) => {
  for (const code of [undefined, 'PROVIDER_TIMEOUT'] as const) {
    const { bare, breaker, clock, have, list } = arrange()
    const slow = new Deferred<ReturnType<typeof page>>()
    bare.list = () => slow.promise
    const pending = list().catch(() => undefined)
    await have(...FIVE)
    clock.tick(10_000)
    if (code === undefined) slow.resolve(page([]))
    else slow.reject(new StorageError(code, code))
    await pending
    t.equal(breaker.state, 'half_open', code ?? 'success')
    await have(undefined)
    t.equal(breaker.state, 'closed')
  }
})

t.test('the wall clock has no influence', async (t) => {
  mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0, 2) })
  t.teardown(() => {
    mock.timers.reset()
  })
  const arranged = arrange()
  const { bare, clock, have } = arranged
  await have(...FIVE)
  mock.timers.setTime(Date.UTC(2026, 0, 3))
  await isOpen(t, arranged, 10_000)
  mock.timers.setTime(Date.UTC(2026, 0, 1))
  clock.tick(10_000)
  await have(undefined)
  t.equal(bare.listCalls.length, 6, 'the clock is set back by a day, and the circuit is not open for longer')
})

t.test('an inner timeout is a failure, and a download is a success once its body begins', async (t) => {
  const tick = useManualTimers(t)
  const bare = new ScriptedBackend()
  const runner = withBreaker(withDeadline(runCall, 1_000), new Breaker(new ManualClock()))
  const backend = interceptCalls(bare, runner)
  bare.list = () => new Promise(() => undefined)
  const timeOut = async (): Promise<void> => {
    const calls = bare.listCalls.length
    const work = backend.listFolder(null, { limit: 1, signal })
    const failed = t.rejects(work, { code: 'PROVIDER_TIMEOUT' })
    await until(() => bare.listCalls.length > calls)
    tick(1_000)
    await failed
  }
  for (let call = 0; call < 4; call += 1) await timeOut()
  const { body } = await backend.download('a', { signal })
  body.destroy(new StorageError('PROVIDER_UNAVAILABLE', 'broke off'))
  body.on('error', () => {})
  for (let call = 0; call < 5; call += 1) await timeOut()
  await t.rejects(backend.listFolder(null, { limit: 1, signal }), { code: 'PROVIDER_UNAVAILABLE' })
})

t.test('an upload counts when it ends, and does not block other calls meanwhile', async (t) => {
  const arranged = arrange()
  const { bare, clock, backend, uploads, have, list, answer } = arranged
  const upload = () => backend.upload?.({ id: 'a' }, new PassThrough(), { signal }) ?? Promise.reject(new Error())
  await have(...FOUR)
  const failing = t.rejects(upload(), { code: 'PROVIDER_UNAVAILABLE' })
  await until(() => uploads.length === 1)
  uploads[0]?.reject(new StorageError('PROVIDER_UNAVAILABLE', 'down'))
  await failing
  await isOpen(t, arranged, 10_000)

  clock.tick(10_000)
  const long = upload()
  await until(() => uploads.length === 2)
  answer('PROVIDER_UNAVAILABLE')
  await t.rejects(list(), { message: 'PROVIDER_UNAVAILABLE' }, 'another call probes during the upload')
  uploads[1]?.resolve(undefined)
  t.equal((await long).id, 'up')
  await isOpen(t, arranged, 10_000)

  clock.tick(10_000)
  const closing = upload()
  await until(() => uploads.length === 3)
  uploads[2]?.resolve(undefined)
  await closing
  const calls = bare.listCalls.length
  await have(...FOUR, undefined)
  t.equal(bare.listCalls.length, calls + 5, 'its success closes the circuit')

  await have(...FOUR)
  const broken = t.rejects(upload(), { code: 'INVALID_REQUEST' })
  await until(() => uploads.length === 4)
  uploads[3]?.reject(new StorageError('INVALID_REQUEST', 'the source broke off'))
  await broken
  await have('PROVIDER_UNAVAILABLE')
  t.equal(bare.listCalls.length, calls + 10, 'a failure of its source is not a failure of the provider')
  await isOpen(t, arranged, 10_000)
})
