import { randomBytes } from 'node:crypto'
import { Registry } from 'prom-client'
import t from 'tap'
import { encryption } from '../support/app/app.ts'
import { nextTurn } from '../support/time/deferred.ts'
import {
  respondsWith,
  respondsWithHtml,
  disconnectsMidBody,
  truncatesJson,
  hangs,
  type OAuthFault,
  resets
} from '../fakes/oauth/faults.ts'
import { refreshApp } from '../support/refresh/app.ts'
import { RefreshRows } from '../support/refresh/rows.ts'
import { until } from '../support/time/until.ts'

const EXPIRED = { leftMs: -1000 }

t.test('an expired token is refreshed without an event or a log line', async (t) => {
  const { oauth, rows, list, events, hasLeaked } = await refreshApp(t, { oauth: { rotation: 'single-use' } })
  const id = await rows.add(oauth.issueGrant(), EXPIRED)
  const before = await rows.read(id)
  const answer = await list()
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), { entries: [{ name: 'file of user-1' }] })
  const { accessToken, refreshToken } = oauth.grants[0]!
  t.same(await rows.tokens(id), { accessToken, refreshToken })
  const after = await rows.read(id)
  t.equal(after.credentialsRevision, before.credentialsRevision + 1)
  t.equal(after.version, before.version)
  t.equal(oauth.tokenCalls(), 1)
  t.same(events, [])
  t.notOk(hasLeaked(answer.body))
})

t.test('a refresh drops no cached listings', async (t) => {
  const { oauth, rows, list, cloud } = await refreshApp(t)
  const grant = oauth.issueGrant()
  const id = await rows.add(grant)
  t.match((await list()).headers['cache-status'], /fwd=miss/)
  await rows.replace(id, grant, -1000)
  t.match((await list()).headers['cache-status'], /; hit/)
  t.match((await list('?folder=other')).headers['cache-status'], /fwd=miss/)
  t.equal(oauth.tokenCalls(), 1)
  t.match((await list()).headers['cache-status'], /; hit/)
  t.equal(cloud.tokens.length, 2)
})

t.test('an access token that is rejected before its expiry is refreshed once', async (t) => {
  const { oauth, rows, list, cloud, hasLeaked } = await refreshApp(t)
  const grant = oauth.issueGrant()
  const id = await rows.add(grant)
  t.equal((await list()).statusCode, 200)
  oauth.expireAccessTokens()
  const all = await Promise.all(Array.from({ length: 5 }, (_, n) => list(`?folder=f${n}`)))
  t.same(
    all.map(({ statusCode }) => statusCode),
    Array(5).fill(200)
  )
  t.equal(oauth.tokenCalls(), 1)
  t.equal((await rows.read(id)).status, 'ACTIVE')
  t.equal(new Set(cloud.tokens).size, 2)
  t.notOk(hasLeaked(...all.map(({ body }) => body)))
})

t.test('a grant that its user has revoked answers 503 to all requests and sets REQUIRES_REAUTH once', async (t) => {
  for (const isExpired of [true, false]) {
    const { oauth, rows, list, events, hasLeaked } = await refreshApp(t)
    const id = await rows.add(oauth.issueGrant(), isExpired ? EXPIRED : {})
    oauth.revokeGrant('user-1')
    const all = await Promise.all(Array.from({ length: 12 }, (_, n) => list(`?folder=f${n}`)))
    for (const { statusCode, body } of all) {
      t.equal(statusCode, 503)
      t.match(JSON.parse(body), { code: 'CONNECTION_INACTIVE' })
    }
    t.equal(oauth.tokenCalls(), 1)
    t.equal((await rows.read(id)).status, 'REQUIRES_REAUTH')
    t.match(events, [{ type: 'requiresReauth', connectionId: id }])
    t.equal(events.length, 1)
    t.notOk(hasLeaked(...all.map(({ body }) => body)))
  }
})

const FAULTS: readonly [string, OAuthFault, string][] = [
  ['invalid_client', respondsWith({ status: 401, error: 'invalid_client' }), 'PROVIDER_UNAVAILABLE'],
  ['invalid_request', respondsWith({ status: 400, error: 'invalid_request' }), 'PROVIDER_UNAVAILABLE'],
  ['500', respondsWith({ status: 500, error: 'server_error' }), 'PROVIDER_UNAVAILABLE'],
  ['500 with another code', respondsWith({ status: 500, error: 'invalid_grant_store' }), 'PROVIDER_UNAVAILABLE'],
  ['an HTML page', respondsWithHtml(200), 'PROVIDER_UNAVAILABLE'],
  ['an HTML page with 400', respondsWithHtml(400), 'PROVIDER_UNAVAILABLE'],
  ['an HTML page with 502', respondsWithHtml(502), 'PROVIDER_UNAVAILABLE'],
  ['429', respondsWith({ status: 429, error: 'slow_down', headers: { 'retry-after': '60' } }), 'PROVIDER_THROTTLED'],
  ['a timeout', hangs(), 'PROVIDER_UNAVAILABLE'],
  ['a reset', resets(), 'PROVIDER_UNAVAILABLE'],
  ['truncated JSON', truncatesJson(), 'PROVIDER_UNAVAILABLE'],
  ['an interrupted response', disconnectsMidBody(), 'PROVIDER_UNAVAILABLE']
]

for (const [what, fault, code] of FAULTS) {
  t.test(`${what} from the token endpoint answers 503 and leaves the connection unchanged`, async (t) => {
    const { oauth, rows, list, events, hasLeaked } = await refreshApp(t, {
      app: fault === FAULTS[8]?.[1] ? { timeouts: { headersMs: 300 } } : {}
    })
    const id = await rows.add(oauth.issueGrant(), EXPIRED)
    const before = await rows.read(id)
    oauth.failNext(Infinity, fault)
    const answer = await list()
    t.equal(answer.statusCode, 503)
    t.match(answer.json(), { code })
    t.ok(Number(answer.headers['retry-after']) > 0)
    t.same(await rows.read(id), before)
    t.same(events, [])
    t.notOk(hasLeaked(answer.body))
    oauth.stopFailing()
    // A throttling provider is not called until its Retry-After has passed.
    if (code === 'PROVIDER_UNAVAILABLE') t.equal((await list()).statusCode, 200)
  })
}

t.test('during an early refresh no such failure is visible', async (t) => {
  const { oauth, rows, list } = await refreshApp(t)
  await rows.add(oauth.issueGrant(), { leftMs: 50_000 })
  oauth.failNext(Infinity, respondsWith({ status: 401, error: 'invalid_client' }))
  t.equal((await list()).statusCode, 200)
  t.equal((await list('?folder=other')).statusCode, 200)
  t.equal(oauth.tokenCalls(), 1)
})

for (const isPerformed of [false, true]) {
  const when = isPerformed ? 'has refreshed the token and not responded' : 'has not refreshed the token yet'

  t.test(`a disconnect while the token endpoint ${when} answers 204 at once, and the row stays removed`, async (t) => {
    const { oauth, rows, list, as, db, events } = await refreshApp(t, { isInterleaved: true })
    const id = await rows.add(oauth.issueGrant(), EXPIRED)
    const gate = oauth.hold('token', { isPerformed })
    const listing = list()
    await gate.reached
    t.equal((await as('ann').send('DELETE', `/cloud/connections/${id}`)).statusCode, 204)
    t.equal(await db.prisma.cloudConnection.count(), 0)
    await until(() => oauth.calls.revoke.length === 1)
    gate.release()
    t.equal((await listing).statusCode, 503)
    await nextTurn()
    t.equal(await db.prisma.cloudConnection.count(), 0)
    t.match(events, [{ type: 'disconnected' }])
    t.equal(events.length, 1)
  })

  t.test(`a connection that is disabled while the token endpoint ${when} stays disabled`, async (t) => {
    const { oauth, rows, list, db, events } = await refreshApp(t, { isInterleaved: true })
    const id = await rows.add(oauth.issueGrant(), EXPIRED)
    const gate = oauth.hold('token', { isPerformed })
    const listing = list()
    await gate.reached
    await db.prisma.cloudConnection.update({ where: { id }, data: { status: 'DISABLED' } })
    const disabled = await rows.read(id)
    gate.release()
    const answer = await listing
    t.equal(answer.statusCode, 503)
    t.match(answer.json(), { code: 'CONNECTION_INACTIVE' })
    t.same(await rows.read(id), disabled)
    t.same(events, [])
  })
}

t.test('closing the app waits for the token that is being rotated', async (t) => {
  const { oauth, rows, list, app } = await refreshApp(t, { oauth: { rotation: 'single-use' }, isInterleaved: true })
  const id = await rows.add(oauth.issueGrant(), EXPIRED)
  const gate = oauth.hold('token', { isPerformed: true })
  const listing = list()
  await gate.reached
  const closing = app.close()
  gate.release()
  await closing
  await listing
  t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
})

const k2 = randomBytes(32).toString('base64')
const BOTH = { current: 'k2', keys: { ...encryption.keys, k2 } }

t.test('a row under an old key can be opened, and is sealed again when it is used', async (t) => {
  const { oauth, rows, list, db } = await refreshApp(t, { app: { encryption: BOTH } })
  const grant = oauth.issueGrant()
  const id = await new RefreshRows(db.prisma, encryption).add(grant)
  const before = await rows.read(id)
  t.match(before.credentials, /^v1\.k1\./)
  t.equal((await list()).statusCode, 200)
  await until(async () => (await rows.read(id)).credentials.startsWith('v1.k2.'))
  t.match(await rows.tokens(id), { accessToken: grant.access_token, refreshToken: grant.refresh_token })
  t.equal((await rows.read(id)).version, before.version)
  t.match((await list()).headers['cache-status'], /; hit/)
  t.equal((await list('?folder=other')).statusCode, 200)
  t.equal(oauth.tokenCalls(), 0)
})

for (const isInterleaved of [false, true]) {
  t.test(`a refresh seals with the current key${isInterleaved ? ', and so does the use before it' : ''}`, async (t) => {
    const { oauth, rows, list, db } = await refreshApp(t, {
      oauth: { rotation: 'single-use' },
      app: { encryption: BOTH },
      isInterleaved
    })
    const id = await new RefreshRows(db.prisma, encryption).add(oauth.issueGrant(), EXPIRED)
    const gate = oauth.hold('token')
    const listing = list()
    await gate.reached
    // The row is re-encrypted while the endpoint is being called.
    if (isInterleaved) await until(async () => (await rows.read(id)).credentials.startsWith('v1.k2.'))
    gate.release()
    t.equal((await listing).statusCode, 200)
    t.match((await rows.read(id)).credentials, /^v1\.k2\./)
    t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
    t.equal(oauth.tokenCalls(), 1)
    t.ok(oauth.grants[0]?.isAlive)
  })
}

t.test('a key that was removed too early causes 503 and a metric, and rows of other keys are served', async (t) => {
  const registry = new Registry()
  const { oauth, rows, list, db, events, hasLeaked } = await refreshApp(t, {
    app: { encryption: { current: 'k2', keys: { k2 } }, metrics: { registry } }
  })
  const id = await new RefreshRows(db.prisma, encryption).add(oauth.issueGrant())
  await rows.add(oauth.issueGrant(), { userId: 'ben' })
  const before = await rows.read(id)
  const answer = await list()
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'CREDENTIALS_UNREADABLE' })
  const counted = await registry.getSingleMetricAsString('cloud_storage_credentials_unreadable_total')
  t.match(counted, 'cloud_storage_credentials_unreadable_total{provider="cloud"} 1')
  t.same(await rows.read(id), before)
  t.equal((await list('', 'ben')).statusCode, 200)
  t.same(events, [])
  t.notOk(hasLeaked(answer.body))
})
