import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import { MinuteLimit } from '../../src/core/user-limits.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { type ReauthOptions, withReauth } from '../../src/layers/reauth.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const signal = new AbortController().signal
const refused = (): StorageError => new StorageError('ACCESS_DENIED', 'no', { credentialsRefused: true })

function layered(bare: ScriptedBackend, options: ReauthOptions) {
  return interceptCalls(
    bare,
    withReauth(runCall, (call) => bare.account(call), options)
  )
}

/** A backend that refuses to list, and its connection. */
function refusing() {
  const bare = new ScriptedBackend()
  bare.list = () => Promise.reject(refused())
  const state = { givenUp: 0, asked: 0 }
  const answerAs = (account: () => ReturnType<ScriptedBackend['account']>): void => {
    bare.account = () => {
      state.asked += 1
      return account()
    }
  }
  const backend = layered(bare, {
    requireReauth: async () => {
      state.givenUp += 1
    },
    limit: undefined
  })
  return { bare, backend, state, answerAs, list: () => backend.listFolder(null, { limit: 1, signal }) }
}

t.test('rejected credentials that the account call confirms are given up', async (t) => {
  const { list, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  await t.rejects(list(), { code: 'CONNECTION_INACTIVE' })
  t.same(state, { givenUp: 1, asked: 1 })
})

t.test('a rejection that the account call does not confirm is only an error', async (t) => {
  const { list, state, answerAs } = refusing()
  const outcomes = [
    () => Promise.resolve({ id: 'a', name: 'A', email: null, quota: null }),
    () => Promise.reject(new StorageError('ACCESS_DENIED', 'a 403')),
    () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'down')),
    () => Promise.reject(new Error('anything'))
  ]
  for (const outcome of outcomes) {
    answerAs(outcome)
    await t.rejects(list(), { code: 'ACCESS_DENIED' })
  }
  t.same(state, { givenUp: 0, asked: 4 })
})

t.test('a rejected account call needs no confirmation', async (t) => {
  const { backend, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  await t.rejects(backend.account({ signal }), { code: 'CONNECTION_INACTIVE' })
  t.same(state, { givenUp: 1, asked: 1 })
})

t.test('concurrent rejected calls make one confirmation', async (t) => {
  const { list, state, answerAs } = refusing()
  const answer = new Deferred<never>()
  answerAs(() => answer.promise)
  const calls = Array.from({ length: 20 }, () => list())
  answer.promise.catch(() => {})
  setImmediate(() => {
    answer.reject(refused())
  })
  for (const call of calls) await t.rejects(call, { code: 'CONNECTION_INACTIVE' })
  t.equal(state.asked, 1)
})

t.test('other failures and successes make no account call', async (t) => {
  const { bare, list, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  bare.list = () => Promise.reject(new StorageError('ACCESS_DENIED', 'a 403'))
  await t.rejects(list(), { code: 'ACCESS_DENIED' })
  bare.list = async () => page([])
  await list()
  t.same(state, { givenUp: 0, asked: 0 })
})

/** A connection of ann's with a limit of refused logins per minute. */
function budgeted(max: number) {
  const clock = new ManualClock()
  const refusals = new MinuteLimit(max, 'Too many.', clock)
  const budget = {
    begin: () => refusals.begin('ann', 'host'),
    limitError: () => refusals.limitError('ann', 'host')
  }
  const state = { sent: 0, givenUp: 0 }
  const connection = (isDead: () => boolean, giveUp: () => Promise<void> = async () => {}) => {
    const bare = new ScriptedBackend()
    const login = async <T>(answer: T): Promise<T> => {
      state.sent += 1
      if (isDead()) throw refused()
      return answer
    }
    bare.list = () => login(page([]))
    bare.account = () => login({ id: 'a', name: 'A', email: null, quota: null })
    const backend = layered(bare, {
      requireReauth: async () => {
        state.givenUp += 1
        await giveUp()
      },
      limit: budget
    })
    return { bare, list: () => backend.listFolder(null, { limit: 1, signal }) }
  }
  return { clock, refusals, state, connection }
}

t.test('invalid credentials are sent twice, however many calls follow and whatever becomes of the row', async (t) => {
  const { state, connection } = budgeted(100)
  const { list } = connection(
    () => true,
    () => Promise.reject(new StorageError('DATABASE_UNAVAILABLE', 'down'))
  )
  for (let count = 0; count < 20; count++) await t.rejects(list(), { code: 'DATABASE_UNAVAILABLE' })
  t.same(state, { sent: 2, givenUp: 20 })
})

t.test('calls that begin during a confirmation wait for its result', async (t) => {
  const { state, connection } = budgeted(100)
  const { bare, list } = connection(() => true)
  const answer = new Deferred<never>()
  bare.account = () => answer.promise
  const first = list()
  await nextTurn()
  const later = Array.from({ length: 20 }, () => list())
  await nextTurn()
  t.equal(state.sent, 1)
  answer.reject(refused())
  for (const call of [first, ...later]) await t.rejects(call, { code: 'CONNECTION_INACTIVE' })
  t.equal(state.sent, 1)
})

t.test('revoked passwords of many connections of a user to one host stay within the attempt limit', async (t) => {
  const { clock, state, connection } = budgeted(5)
  const good = connection(() => false)
  await good.list()
  state.sent = 0
  const dead = Array.from({ length: 20 }, () => connection(() => true))
  const last = connection(() => true)
  for (const { list } of dead) await t.rejects(list())
  t.ok(state.sent <= 5, `${state.sent} refused logins`)
  const { sent } = state
  await t.rejects(last.list(), { code: 'TOO_MANY_REQUESTS' })
  t.equal(state.sent, sent)
  await good.list()
  t.equal(state.sent, sent + 1, 'a connection that has worked is still usable')
  clock.tick(60_000)
  await t.rejects(last.list(), { code: 'CONNECTION_INACTIVE' })
})

t.test('a rejection that the account call does not confirm does not count as an attempt', async (t) => {
  const { refusals, state, connection } = budgeted(2)
  const { bare, list } = connection(() => false)
  bare.list = () => Promise.reject(refused())
  for (let count = 0; count < 10; count++) await t.rejects(list(), { code: 'ACCESS_DENIED' })
  t.equal(refusals.limitError('ann', 'host'), undefined)
  t.equal(state.givenUp, 0)
})
