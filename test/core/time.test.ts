import { getEventListeners, once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Readable } from 'node:stream'
import t from 'tap'
import { Deadline, raceSignal, withTimeout } from '../../src/core/time.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'

const TIMEOUT_MS = 1_000
const tooSlow = () => new Error('too slow')

function start(signal: AbortSignal | null = new AbortController().signal) {
  const { promise, resolve, reject } = new Deferred<string>()
  const seen: AbortSignal[] = []
  const pending = withTimeout(TIMEOUT_MS, signal, tooSlow, (inner) => {
    seen.push(inner)
    return promise
  })
  return { pending, seen, resolve, reject }
}

t.test('the outcome of the work is returned, and its signal is never aborted', async (t) => {
  const tick = useManualTimers(t)
  const { signal } = new AbortController()
  const [good, bad] = [start(signal), start(signal)]
  good.resolve('x')
  bad.reject(new Error('no'))
  t.equal(await good.pending, 'x')
  await t.rejects(bad.pending, { message: 'no' })
  tick(2 * TIMEOUT_MS)
  t.same(
    [...good.seen, ...bad.seen].map(({ aborted }) => aborted),
    [false, false]
  )
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('work that ignores its signal is abandoned at the timeout', async (t) => {
  const tick = useManualTimers(t)
  const caller = new AbortController()
  for (const signal of [caller.signal, null]) {
    const { pending, seen, reject } = start(signal)
    tick(TIMEOUT_MS - 1)
    t.equal(seen[0]?.aborted, false)
    tick(1)
    await t.rejects(pending, { message: 'too slow' })
    t.match(seen[0], { aborted: true, reason: { message: 'too slow' } })
    reject(new Error('late'))
    await nextTurn()
  }
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
})

t.test('work that ignores its signal is abandoned when the caller aborts, with the reason', async (t) => {
  const tick = useManualTimers(t)
  const caller = new AbortController()
  const { pending, seen, resolve } = start(caller.signal)
  caller.abort(new Error('gone'))
  await t.rejects(pending, { message: 'gone' })
  t.match(seen[0], { aborted: true, reason: { message: 'gone' } })
  tick(TIMEOUT_MS)
  t.match(seen[0], { reason: { message: 'gone' } })
  resolve('late')
})

t.test('an abort that changes the error of the work is reported as itself', async (t) => {
  const tick = useManualTimers(t)
  const pending = withTimeout(TIMEOUT_MS, null, tooSlow, (signal) => {
    const { promise, reject } = new Deferred<string>()
    signal.addEventListener('abort', () => {
      reject(new Error('socket closed'))
    })
    return promise
  })
  tick(TIMEOUT_MS)
  await t.rejects(pending, { message: 'too slow' })
})

t.test('a response in the socket of a busy process is not late', async (t) => {
  const server = createServer((socket) => socket.end('x')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const result = await withTimeout(20, null, tooSlow, async () => {
    // The response arrives while the event loop is blocked.
    const until = performance.now() + 60
    while (performance.now() < until);
    const [data] = (await once(socket, 'data')) as [Buffer]
    return data.toString()
  })
  t.equal(result, 'x')
})

t.test('an aborted caller starts no work', async (t) => {
  const { pending, seen } = start(AbortSignal.abort(new Error('gone')))
  await t.rejects(pending, { message: 'gone' })
  t.equal(seen.length, 0)
})

t.test('work that throws at once rejects, also if it aborts its caller first', async (t) => {
  const caller = new AbortController()
  await t.rejects(
    withTimeout(TIMEOUT_MS, caller.signal, tooSlow, () => {
      throw new Error('at once')
    }),
    { message: 'at once' }
  )
  await t.rejects(
    withTimeout(TIMEOUT_MS, caller.signal, tooSlow, () => {
      caller.abort(new Error('gone'))
      throw new Error('at once')
    }),
    { message: 'gone' }
  )
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
})

t.test('an abort after the work has settled does not discard its result', async (t) => {
  const caller = new AbortController()
  const discarded: string[] = []
  const { promise, resolve } = new Deferred<string>()
  const result = raceSignal(promise, caller.signal, (late) => discarded.push(late))
  // Registered later than the reaction of `raceSignal`, so it runs between that one and the `await` below.
  void promise.then(() => {
    caller.abort(new Error('gone'))
  })
  resolve('x')
  t.equal(await result, 'x')
  await nextTurn()
  t.same(discarded, [])
})

t.test('a deadline ends with a stream, also with one that is closed already', async (t) => {
  const tick = useManualTimers(t)
  const { signal } = new AbortController()
  const body = Readable.from(['x'])
  const deadline = new Deadline(TIMEOUT_MS, signal, tooSlow)
  deadline.clearOnClose(body)
  t.equal(getEventListeners(signal, 'abort').length, 1)
  body.destroy()
  await once(body, 'close')
  const late = new Deadline(TIMEOUT_MS, signal, tooSlow)
  late.clearOnClose(body)
  t.equal(getEventListeners(signal, 'abort').length, 0)
  tick(TIMEOUT_MS)
  await nextTurn()
  t.same([deadline.signal.aborted, late.signal.aborted], [false, false])
})
