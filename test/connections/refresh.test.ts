import t from 'tap'
import type { TokenSet } from '../../src/core/oauth.ts'
import { StorageError } from '../../src/errors.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { errorCodeOf, HOUR_MS, neverAborted, RefreshWorld } from '../support/refresh/world.ts'

const EXPIRED = { leftMs: 0, ageMs: HOUR_MS }

/** A token endpoint with calls that the test settles one by one. */
function held() {
  const world = new RefreshWorld()
  const answers: Deferred<TokenSet | null>[] = []
  const signals: AbortSignal[] = []
  world.endpoint.respond = (_token, signal) => {
    const answer = new Deferred<TokenSet | null>()
    answers.push(answer)
    signals.push(signal)
    return answer.promise
  }
  return { world, answers, signals }
}

t.test('twelve concurrent callers share one refresh and get the same token', async (t) => {
  const { world, answers } = held()
  const row = world.add(EXPIRED)
  const locked = world.connections.withRefreshLock.bind(world.connections)
  let locks = 0
  Object.defineProperty(world.connections, 'withRefreshLock', {
    value: (...args: Parameters<typeof locked>) => {
      locks += 1
      return locked(...args)
    }
  })
  // Several callers have opened the connection independently.
  const callers = Array.from({ length: 3 }, () => world.tokensOf(row))
  const calls = callers.flatMap((tokens) =>
    Array.from({ length: 4 }, () => tokens.current(new AbortController().signal))
  )
  await nextTurn()
  t.equal(world.endpoint.receivedTokens.length, 1)
  answers[0]?.resolve(world.endpoint.rotated())
  const tokens = await Promise.all(calls)
  t.same(
    tokens.map((token) => token.reveal()),
    Array(12).fill('SECRET-access-1')
  )
  t.same([world.endpoint.receivedTokens.length, locks], [1, 1])
})

t.test('an aborted caller gets its reason at once and does not end the refresh, whose tokens are stored', async (t) => {
  const { world, answers, signals } = held()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  const leaving = [new AbortController(), new AbortController()]
  const calls = leaving.map(({ signal }) => tokens.current(signal).catch((error: unknown) => error))
  await nextTurn()
  for (const [n, controller] of leaving.entries()) {
    controller.abort(new Error(`gone ${n}`))
    t.match(await calls[n], { message: `gone ${n}` })
  }
  t.equal(signals[0]?.aborted, false)
  answers[0]?.resolve(world.endpoint.rotated())
  await world.flights.settled()
  t.match(world.stored(row), { accessToken: 'SECRET-access-1', refreshToken: 'SECRET-refresh-1' })
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('the abort of one caller does not affect the others', async (t) => {
  const { world, answers } = held()
  const tokens = world.tokensOf(world.add(EXPIRED))
  const controller = new AbortController()
  const gone = tokens.current(controller.signal).catch((error: unknown) => error)
  const staying = tokens.current(neverAborted)
  await nextTurn()
  controller.abort(new Error('gone'))
  await gone
  answers[0]?.resolve(world.endpoint.rotated())
  t.equal((await staying).reveal(), 'SECRET-access-1')
})

t.test('at most two connections are refreshed at a time, and each gets its turn', async (t) => {
  const { world, answers } = held()
  const rows = Array.from({ length: 10 }, () => world.add(EXPIRED))
  const calls = rows.map((row) => world.tokensOf(row).current(neverAborted))
  for (let n = 0; n < rows.length; n += 1) {
    await nextTurn()
    t.equal(world.endpoint.receivedTokens.length, Math.min(n + 2, rows.length))
    answers[n]?.resolve(world.endpoint.rotated())
  }
  await Promise.all(calls)
  t.equal(world.endpoint.receivedTokens.length, rows.length)
})

t.test('if all callers abort before their turn, no request is sent', async (t) => {
  const { world, answers } = held()
  const busy = [world.add(EXPIRED), world.add(EXPIRED)].map((row) => world.tokensOf(row).current(neverAborted))
  const row = world.add(EXPIRED)
  const controller = new AbortController()
  const tokens = world.tokensOf(row)
  const gone = [1, 2].map(() => tokens.current(controller.signal).catch((error: unknown) => error))
  await nextTurn()
  controller.abort(new Error('gone'))
  await Promise.all(gone)
  for (const answer of answers) answer.resolve(world.endpoint.rotated())
  await Promise.all(busy)
  await world.flights.settled()
  t.equal(world.endpoint.receivedTokens.length, 2)
  t.equal(world.stored(row).accessToken, 'SECRET-access-0')
  const late = tokens.current(neverAborted)
  await nextTurn()
  answers[2]?.resolve(world.endpoint.rotated())
  t.equal((await late).reveal(), 'SECRET-access-3')
})

t.test('a caller that returns before its turn is served', async (t) => {
  const { world, answers } = held()
  const busy = [world.add(EXPIRED), world.add(EXPIRED)].map((row) => world.tokensOf(row).current(neverAborted))
  const tokens = world.tokensOf(world.add(EXPIRED))
  const controller = new AbortController()
  const gone = tokens.current(controller.signal).catch((error: unknown) => error)
  await nextTurn()
  controller.abort(new Error('gone'))
  await gone
  const back = tokens.current(neverAborted)
  for (const answer of answers) answer.resolve(world.endpoint.rotated())
  await Promise.all(busy)
  await nextTurn()
  answers[2]?.resolve(world.endpoint.rotated())
  t.equal((await back).reveal(), 'SECRET-access-3')
})

t.test('a failure rejects all waiting callers and is not remembered', async (t) => {
  const { world, answers } = held()
  const tokens = world.tokensOf(world.add(EXPIRED))
  const calls = [1, 2, 3].map(() => errorCodeOf(t, tokens.current(neverAborted)))
  await nextTurn()
  answers[0]?.reject(new StorageError('PROVIDER_UNAVAILABLE', 'Down.'))
  t.same(await Promise.all(calls), Array(3).fill('PROVIDER_UNAVAILABLE'))
  t.equal(world.endpoint.receivedTokens.length, 1)
  const again = tokens.current(neverAborted)
  await nextTurn()
  answers[1]?.resolve(world.endpoint.rotated())
  t.equal((await again).reveal(), 'SECRET-access-2')
})

t.test('a failure without waiting callers causes no unhandled rejection', async (t) => {
  const { world, answers } = held()
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const tokens = world.tokensOf(world.add(EXPIRED))
  const controller = new AbortController()
  const gone = tokens.current(controller.signal).catch((error: unknown) => error)
  await nextTurn()
  controller.abort(new Error('gone'))
  await gone
  answers[0]?.reject(new StorageError('PROVIDER_UNAVAILABLE', 'Down.'))
  await world.flights.settled()
  await nextTurn()
  t.same(unhandled, [])
})

t.test('closing waits until the tokens of the refresh in flight are stored', async (t) => {
  const { world, answers } = held()
  const row = world.add(EXPIRED)
  const controller = new AbortController()
  const gone = world
    .tokensOf(row)
    .current(controller.signal)
    .catch((error: unknown) => error)
  await nextTurn()
  controller.abort(new Error('the server closes'))
  await gone
  let isClosed = false
  const closing = world.flights.settled().then(() => (isClosed = true))
  await nextTurn()
  t.notOk(isClosed)
  answers[0]?.resolve(world.endpoint.rotated())
  await closing
  t.equal(world.stored(row).refreshToken, 'SECRET-refresh-1')
  await world.flights.settled()
})

t.test('closing sends no request for aborted callers in the queue', async (t) => {
  const { world, answers } = held()
  const controller = new AbortController()
  const rows = Array.from({ length: 5 }, () => world.add(EXPIRED))
  const gone = rows.map((row) =>
    world
      .tokensOf(row)
      .current(controller.signal)
      .catch((error: unknown) => error)
  )
  await nextTurn()
  controller.abort(new Error('the server closes'))
  await Promise.all(gone)
  for (const answer of answers) answer.resolve(world.endpoint.rotated())
  await world.flights.settled()
  t.equal(world.endpoint.receivedTokens.length, 2)
})
