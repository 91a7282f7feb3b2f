import t from 'tap'
import { trackCalls, WorkInFlight } from '../../src/core/shared-work.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'

/** Records when a promise has settled. */
function watch(promise: Promise<unknown>) {
  const state = { hasEnded: false }
  const end = (): void => {
    state.hasEnded = true
  }
  promise.then(end, end)
  return state
}

t.test('close() waits for work, and for work that begins when other work ends', async (t) => {
  const work = new WorkInFlight()
  const [first, second] = [new Deferred<number>(), new Deferred<number>()]
  const both = work.run(() => first.promise).then(() => work.run(() => second.promise))
  const closing = watch(work.close())
  const { hasEnded } = watch(work.settled())
  t.equal(hasEnded, false)
  first.resolve(1)
  await nextTurn()
  await nextTurn()
  t.equal(closing.hasEnded, false)
  second.resolve(2)
  t.equal(await both, 2)
  await nextTurn()
  await nextTurn()
  t.equal(closing.hasEnded, true)
})

t.test('after closing, work is refused and not started', async (t) => {
  const work = new WorkInFlight()
  let calls = 0
  const store = trackCalls({ name: 'a store', read: async (by: number) => (calls += by) }, work)
  t.equal(await store.read(2), 2)
  t.equal(store.name, 'a store')
  await work.close()
  await t.rejects(store.read(1), { code: 'SHUTTING_DOWN' })
  t.equal(calls, 2)
})

t.test('failing work ends like any other, and its failure rejects its caller', async (t) => {
  const work = new WorkInFlight()
  const failing = new Deferred<number>()
  const failed = work.run(() => failing.promise)
  work.add(Promise.reject(new Error('handled elsewhere')).catch(() => {}))
  failing.reject(new Error('upstream'))
  await t.rejects(failed, { message: 'upstream' })
  await t.rejects(
    work.run(() => {
      throw new Error('at once')
    }),
    { message: 'at once' }
  )
  await work.close()
})
