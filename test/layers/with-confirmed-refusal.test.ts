import t from 'tap'
import { StorageError } from '../../src/domain/errors.ts'
import { withConfirmedRefusal } from '../../src/layers/with-confirmed-refusal.ts'
import { Deferred } from '../support/deferred.ts'
import { page, ScriptedBackend } from '../support/scripted-backend.ts'

const signal = new AbortController().signal
const refused = (): StorageError => new StorageError('ACCESS_DENIED', 'no', { credentialsRefused: true })

/** A backend that refuses to list, and the connection behind it. */
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
  const backend = withConfirmedRefusal(bare, async () => {
    state.givenUp += 1
  })
  return { bare, backend, state, answerAs, list: () => backend.listFolder(null, { limit: 1, signal }) }
}

t.test('refused credentials that the account confirms are given up', async (t) => {
  const { list, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  await t.rejects(list(), { code: 'CONNECTION_INACTIVE' })
  t.same(state, { givenUp: 1, asked: 1 })
})

t.test('a refusal that the account does not confirm stays what it is', async (t) => {
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

t.test('the account itself being refused needs no second question', async (t) => {
  const { backend, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  await t.rejects(backend.account({ signal }), { code: 'CONNECTION_INACTIVE' })
  t.same(state, { givenUp: 1, asked: 1 })
})

t.test('many calls that are refused at once ask once', async (t) => {
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

t.test('any other failure, and success, ask nobody', async (t) => {
  const { bare, list, state, answerAs } = refusing()
  answerAs(() => Promise.reject(refused()))
  bare.list = () => Promise.reject(new StorageError('ACCESS_DENIED', 'a 403'))
  await t.rejects(list(), { code: 'ACCESS_DENIED' })
  bare.list = async () => page([])
  await list()
  t.same(state, { givenUp: 0, asked: 0 })
})
