import t from 'tap'
import type { Authenticate } from '../../src/http/authentication.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { until } from '../support/time/until.ts'

const LISTING = '/cloud/scripted/listing'

type Outcome = { gives: unknown } | { throws: unknown }

/** Outcomes of the host's authentication, and the resulting responses. */
const OUTCOMES: Record<string, { outcome: Outcome; status: number; code?: string }> = {
  'a user': { outcome: { gives: 'ann' }, status: 200 },
  undefined: { outcome: { gives: undefined }, status: 401, code: 'UNAUTHENTICATED' },
  null: { outcome: { gives: null }, status: 401, code: 'UNAUTHENTICATED' },
  'an empty name': { outcome: { gives: '' }, status: 401, code: 'UNAUTHENTICATED' },
  'an object': { outcome: { gives: { id: 'ann' } }, status: 500, code: 'INTERNAL' },
  'a list': { outcome: { gives: ['ann'] }, status: 500, code: 'INTERNAL' },
  'a number': { outcome: { gives: 42 }, status: 500, code: 'INTERNAL' },
  false: { outcome: { gives: false }, status: 500, code: 'INTERNAL' },
  'a function': { outcome: { gives: () => 'ann' }, status: 500, code: 'INTERNAL' },
  'an error': { outcome: { throws: new Error('SECRET') }, status: 401, code: 'UNAUTHENTICATED' },
  'an error without a message': { outcome: { throws: undefined }, status: 401, code: 'UNAUTHENTICATED' },
  'an error of 403': { outcome: { throws: failure(403) }, status: 401, code: 'UNAUTHENTICATED' },
  'an error of 500': { outcome: { throws: failure(500) }, status: 503, code: 'AUTHENTICATION_UNAVAILABLE' },
  'an error of 503': { outcome: { throws: failure(503) }, status: 503, code: 'AUTHENTICATION_UNAVAILABLE' }
}

function failure(statusCode: number): Error {
  return Object.assign(new Error('SECRET'), { statusCode })
}

/** Returns the outcome synchronously. */
function settle(outcome: Outcome): unknown {
  if ('throws' in outcome) throw outcome.throws
  return outcome.gives
}

/** A thenable that is not a promise, like a query builder. */
function thenOf(outcome: Outcome) {
  return (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
    if ('throws' in outcome) reject(outcome.throws)
    else resolve(outcome.gives)
  }
}

const WAYS: Record<string, (outcome: Outcome) => unknown> = {
  synchronously: settle,
  'in a promise': async (outcome) => settle(outcome),
  'in a pending promise': async (outcome) => {
    await new Promise((resolve) => setImmediate(resolve))
    return settle(outcome)
  },
  'in a thenable': (outcome) => ({ then: thenOf(outcome) }),
  'in a thenable function': (outcome) => Object.assign(() => undefined, { then: thenOf(outcome) }),
  'in a thenable that throws': (outcome) => ({
    then: (resolve: (value: unknown) => void): void => {
      resolve(settle(outcome))
    }
  }),
  'with a getter of then that throws': (outcome) =>
    Object.defineProperty({}, 'then', {
      get: () => {
        const user = settle(outcome)
        return (resolve: (value: unknown) => void) => {
          resolve(user)
        }
      }
    })
}

t.test('a synchronous and an asynchronous authenticate function lead to the same responses', async (t) => {
  const authenticate: Authenticate = ({ headers }) => {
    const { way, outcome } = headers
    if (way === undefined) return headers['x-user']
    return WAYS[String(way)]!(OUTCOMES[String(outcome)]!.outcome)
  }
  const { app, connect, scripted } = await testApp(t, {
    authenticate: authenticate as CloudStorageOptions['authenticate']
  })
  const id = await connect('ann')
  await connect('bob')
  for (const [outcome, { status, code }] of Object.entries(OUTCOMES)) {
    for (const way of Object.keys(WAYS)) {
      const what = `${outcome} ${way}`
      const headers = { way, outcome }
      const listed = scripted.backend.listCalls.length
      const answer = await app.inject({ url: `${LISTING}?refresh=true`, headers })
      t.equal(answer.statusCode, status, what)
      if (status === 200) {
        t.match(answer.json(), { connectionId: id }, `${what}: the connection of that user`)
      } else {
        t.match(answer.json(), { code, status }, what)
        t.notMatch(answer.body, 'SECRET', what)
        t.equal(scripted.backend.listCalls.length, listed, what)
      }

      const origin = 'https://elsewhere.example'
      const foreign = await app.inject({ method: 'DELETE', url: '/cloud/connections', headers: { ...headers, origin } })
      t.equal(foreign.statusCode, status === 200 ? 403 : status, `${what}, from a page of another site`)
      t.match(foreign.json(), { code: code ?? 'CROSS_SITE' }, what)
    }
  }
})

t.test('concurrent requests are each attributed to their own user, however long authentication takes', async (t) => {
  const late: (() => void)[] = []
  const authenticate: Authenticate = ({ headers }) => {
    const user = headers['x-user']
    if (headers['x-late'] === undefined) return user
    return new Promise((resolve) =>
      late.push(() => {
        resolve(user)
      })
    )
  }
  const { as, connect } = await testApp(t, {
    authenticate: authenticate as CloudStorageOptions['authenticate']
  })
  const users = Array.from({ length: 20 }, (_, i) => `user ${i}`)
  const ids: string[] = []
  for (const user of users) ids.push(await connect(user))
  const asked = users.map((user, i) => as(user).get(LISTING, i % 3 === 0 ? {} : { 'x-late': 'yes' }))
  await until(() => late.length === 13)
  for (const answer of late.reverse()) answer()
  const answers = await Promise.all(asked)
  t.strictSame(
    answers.map((answer) => answer.json<{ connectionId: string }>().connectionId),
    ids
  )
})
