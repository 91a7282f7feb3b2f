import t from 'tap'
import { SharedWork } from '../../src/core/shared-work.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'

/** Work that the test settles. */
function begun() {
  const { promise, resolve, reject } = new Deferred<string>()
  const seen: { signal?: AbortSignal; abandoned: number } = { abandoned: 0 }
  const work = new SharedWork<string>(() => {
    t.notOk(seen.signal?.aborted, 'reported before the abort')
    seen.abandoned += 1
  })
  work.begin((signal) => {
    seen.signal = signal
    return promise
  })
  return { work, seen, resolve, reject }
}

t.test('all callers get the same result, before and after it is available', async (t) => {
  const { work, resolve } = begun()
  const waiting = [work.wait(), work.wait(new AbortController().signal)]
  resolve('x')
  t.same(await Promise.all([...waiting, work.wait()]), ['x', 'x', 'x'])
  const failing = begun()
  const failures = [failing.work.wait(), failing.work.wait(new AbortController().signal)]
  failing.reject(new Error('no'))
  for (const failure of failures) await t.rejects(failure, { message: 'no' })
})

t.test('a failure without callers causes no unhandled rejection', async (t) => {
  const { work, reject } = begun()
  reject(new Error('no'))
  await nextTurn()
  await t.rejects(work.wait(), { message: 'no' })
  const thrown = new SharedWork<string>()
  thrown.begin(() => {
    throw new Error('at once')
  })
  await nextTurn()
  await t.rejects(thrown.wait(), { message: 'at once' })
})

t.test('the abort of one caller affects only that caller, and the last abort ends the work', async (t) => {
  const { work, seen } = begun()
  const [one, two] = [new AbortController(), new AbortController()]
  const first = work.wait(one.signal)
  const second = work.wait(two.signal)
  one.abort(new Error('one'))
  await t.rejects(first, { message: 'one' })
  t.equal(seen.abandoned, 0)
  two.abort(new Error('two'))
  t.equal(seen.abandoned, 1)
  t.match(seen.signal, { aborted: true, reason: { message: 'two' } })
  await t.rejects(second, { message: 'two' })
})

t.test('a caller without a signal keeps the work alive', async (t) => {
  const { work, seen, resolve } = begun()
  const staying = work.wait()
  const controller = new AbortController()
  const leaving = work.wait(controller.signal)
  controller.abort(new Error('gone'))
  await t.rejects(leaving, { message: 'gone' })
  t.notOk(seen.signal?.aborted)
  resolve('x')
  t.equal(await staying, 'x')
})

t.test('an abort after the end has no effect', async (t) => {
  const { work, seen, resolve } = begun()
  const controller = new AbortController()
  const waiting = work.wait(controller.signal)
  resolve('x')
  t.equal(await waiting, 'x')
  controller.abort()
  t.match(seen, { abandoned: 0, signal: { aborted: false } })
})

t.test('work that waits for itself is rejected', async (t) => {
  const work = new SharedWork<string>()
  work.begin(() => work.wait())
  await t.rejects(work.wait(), TypeError)
})
