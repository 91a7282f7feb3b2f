import t, { type Test } from 'tap'
import { type OAuthApp, oauthApp, PUBLIC_URL } from '../support/app/app.ts'
import {
  respondsWith,
  respondsWithHtml,
  disconnectsMidBody,
  truncatesJson,
  hangs,
  patchesResponse,
  type OAuthFault,
  padsResponse,
  redirects,
  resets
} from '../fakes/oauth/faults.ts'
import { FAKE_OAUTH_USER, FAKE_SCOPES } from '../fakes/oauth/rules.ts'
import { startServer } from '../support/net/server.ts'
import { until } from '../support/time/until.ts'

const TIMEOUTS = { connectMs: 1000, headersMs: 150, idleMs: 150, totalMs: 1000 }

/** Checks the redirect to the application after a refusal. The binding cookie matched, so a redirect is safe. */
async function assertRefused(t: Test, app: OAuthApp, answer: Awaited<ReturnType<OAuthApp['grant']>>, code: string) {
  t.equal(answer.statusCode, 303, code)
  t.equal(answer.headers.location, `${PUBLIC_URL}/?error=${code}`)
  t.equal(answer.body, '')
  t.equal(await app.db.prisma.cloudConnection.count(), 0, 'nothing is stored')
  t.equal(await app.db.prisma.oAuthState.count(), 0, 'the flow has ended')
  assertSilent(t, app, answer)
}

/** Checks that the response and the log contain no text of the provider and no token. */
function assertSilent(t: Test, { oauth, log }: OAuthApp, answer: { body: string; headers: object }) {
  const told = answer.body + JSON.stringify(answer.headers) + log.join('')
  t.notMatch(told, /SECRET|Scripted|said no/)
  for (const { accessToken, refreshToken = 'none' } of oauth.grants) {
    t.notOk(told.includes(accessToken))
    t.notOk(told.includes(refreshToken))
  }
}

t.test('errors of the authorization endpoint are mapped to codes, and the token endpoint is not called', async (t) => {
  const refusals: [string, string][] = [
    ['access_denied', 'ACCESS_DENIED'],
    ['server_error', 'PROVIDER_UNAVAILABLE'],
    ['temporarily_unavailable', 'PROVIDER_UNAVAILABLE'],
    ['invalid_scope', 'INSUFFICIENT_SCOPE'],
    ['unauthorized_client', 'PROVIDER_ERROR'],
    ['Bearer SECRET <script>', 'PROVIDER_ERROR'],
    ['constructor', 'PROVIDER_ERROR']
  ]
  for (const [error, code] of refusals) {
    const app = await oauthApp(t)
    app.oauth.patchCallback({ error, error_description: 'Bearer SECRET' })
    await assertRefused(t, app, await app.grant('ann'), code)
    t.equal(app.oauth.tokenCalls(), 0)
  }
})

t.test('a user who grants fewer scopes than requested receives an error, and nothing is stored', async (t) => {
  const app = await oauthApp(t, { registration: { scopes: FAKE_SCOPES } })
  app.oauth.grantOnly(FAKE_SCOPES.slice(0, 1))
  await assertRefused(t, app, await app.grant('ann'), 'INSUFFICIENT_SCOPE')
})

t.test('a token response without scope means the requested scopes', async (t) => {
  const { oauth, grant, db } = await oauthApp(t, { registration: { scopes: FAKE_SCOPES } })
  oauth.failNext(1, patchesResponse({ scope: undefined }))
  await grant('ann')
  t.same((await db.prisma.cloudConnection.findFirstOrThrow()).scopes, FAKE_SCOPES)
})

t.test('scopes that do not concern access may be missing or renamed in the token response', async (t) => {
  const [scope = ''] = FAKE_SCOPES
  const asked = ['openid', 'email', 'profile', 'offline_access', scope]
  const { oauth, grant, db } = await oauthApp(t, { registration: { scopes: asked } })
  oauth.rules.scopes = asked
  oauth.failNext(1, patchesResponse({ scope: `${scope} https://provider.example/userinfo.email` }))
  t.notMatch((await grant('ann')).headers.location, 'error')
  t.equal(await db.prisma.cloudConnection.count({ where: { status: 'ACTIVE' } }), 1)
})

t.test('scopes are compared by scopeName, where a provider has several names for them', async (t) => {
  const connect = { scopeName: (scope: string) => scope.replace('https://cloud.example/', '').toLowerCase() }
  const app = await oauthApp(t, { connect, registration: { scopes: FAKE_SCOPES } })
  app.oauth.failNext(1, patchesResponse({ scope: 'https://cloud.example/Files.Read' }))
  await assertRefused(t, app, await app.grant('ann'), 'INSUFFICIENT_SCOPE')
  const given = ['https://cloud.example/Files.Read', 'FILES.WRITE']
  app.oauth.failNext(1, patchesResponse({ scope: given.join(' ') }))
  await app.grant('ann')
  t.same((await app.db.prisma.cloudConnection.findFirstOrThrow()).scopes, given)
})

t.test('additional scopes are stored as granted', async (t) => {
  const { oauth, grant, db } = await oauthApp(t)
  oauth.failNext(1, patchesResponse({ scope: 'openid files.read' }))
  await grant('ann')
  t.same((await db.prisma.cloudConnection.findFirstOrThrow()).scopes, ['openid', 'files.read'])
})

t.test('a token that expires within the hour and cannot be refreshed is refused', async (t) => {
  const app = await oauthApp(t)
  app.oauth.failNext(1, patchesResponse({ refresh_token: undefined }))
  await assertRefused(t, app, await app.grant('ann'), 'PROVIDER_ERROR')
})

t.test('a token that does not expire needs no refresh token', async (t) => {
  const { oauth, grant, db } = await oauthApp(t, { rules: { accessTokenSeconds: undefined } })
  oauth.failNext(1, patchesResponse({ refresh_token: undefined }))
  await grant('ann')
  t.equal(await db.prisma.cloudConnection.count(), 1)
})

t.test('a rejected code requires a new login', async (t) => {
  const app = await oauthApp(t)
  app.oauth.failNext(1, { status: 400, error: 'invalid_grant' })
  await assertRefused(t, app, await app.grant('ann'), 'INVALID_STATE')
})

t.test('a failing token endpoint answers PROVIDER_UNAVAILABLE, and its text is not repeated', async (t) => {
  const elsewhere = await startServer(t)
  const faults: [string, OAuthFault, string][] = [
    ['invalid_client', respondsWith({ status: 401, error: 'invalid_client' }), 'PROVIDER_UNAVAILABLE'],
    ['invalid_request', respondsWith({ status: 400, error: 'invalid_request' }), 'PROVIDER_UNAVAILABLE'],
    ['an unknown error', respondsWith({ status: 400, error: 'Bearer SECRET' }), 'PROVIDER_UNAVAILABLE'],
    ['500', respondsWith({ status: 500, error: 'server_error' }), 'PROVIDER_UNAVAILABLE'],
    ['503', respondsWithHtml(503), 'PROVIDER_UNAVAILABLE'],
    ['HTML', respondsWithHtml(200), 'PROVIDER_UNAVAILABLE'],
    ['HTML 400', respondsWithHtml(400), 'PROVIDER_UNAVAILABLE'],
    ['truncated JSON', truncatesJson(), 'PROVIDER_UNAVAILABLE'],
    ['an interrupted response', disconnectsMidBody(), 'PROVIDER_UNAVAILABLE'],
    ['reset', resets(), 'PROVIDER_UNAVAILABLE'],
    ['429', respondsWith({ status: 429, error: 'rate', headers: { 'retry-after': '7' } }), 'PROVIDER_THROTTLED'],
    ['429 HTML', respondsWithHtml(429), 'PROVIDER_THROTTLED'],
    ['307', redirects(`${elsewhere.origin}/token`), 'PROVIDER_UNAVAILABLE'],
    ['302', redirects(`${elsewhere.origin}/token`, 302), 'PROVIDER_UNAVAILABLE'],
    ['too large', padsResponse(70_000), 'PROVIDER_UNAVAILABLE'],
    ['token_type mac', patchesResponse({ token_type: 'mac' }), 'PROVIDER_UNAVAILABLE'],
    ['no token_type', patchesResponse({ token_type: undefined }), 'PROVIDER_UNAVAILABLE'],
    ['no access_token', patchesResponse({ access_token: undefined }), 'PROVIDER_UNAVAILABLE'],
    ['an empty access_token', patchesResponse({ access_token: '' }), 'PROVIDER_UNAVAILABLE'],
    ['an access_token of 10 KB', patchesResponse({ access_token: 'x'.repeat(10_000) }), 'PROVIDER_UNAVAILABLE'],
    ['a refresh_token that is a number', patchesResponse({ refresh_token: 7 }), 'PROVIDER_UNAVAILABLE'],
    ['a negative lifetime', patchesResponse({ expires_in: -1 }), 'PROVIDER_UNAVAILABLE'],
    ['an error with 200', patchesResponse({ access_token: undefined, error: 'Bearer SECRET' }), 'PROVIDER_UNAVAILABLE']
  ]
  for (const [name, fault, code] of faults) {
    await t.test(name, async (t) => {
      const app = await oauthApp(t)
      app.oauth.failNext(1, fault)
      await assertRefused(t, app, await app.grant('ann'), code)
      t.equal(app.oauth.tokenCalls(), 1)
    })
  }
  t.equal(elsewhere.connections, 0, 'no credentials are sent to another host')
})

t.test('a hanging token endpoint times out', async (t) => {
  const app = await oauthApp(t, { plugin: { timeouts: TIMEOUTS } })
  app.oauth.failNext(1, hangs())
  await assertRefused(t, app, await app.grant('ann'), 'PROVIDER_UNAVAILABLE')
})

t.test('a token of an unknown account does not connect', async (t) => {
  const app = await oauthApp(t)
  app.oauth.failNext(1, patchesResponse({ access_token: 'nobodys' }))
  await assertRefused(t, app, await app.grant('ann'), 'ACCESS_DENIED')
})

t.test('a user cannot reactivate a DISABLED connection', async (t) => {
  const { grant, db, as } = await oauthApp(t)
  await grant('ann')
  await db.prisma.cloudConnection.updateMany({ data: { status: 'DISABLED' } })
  const before = await db.prisma.cloudConnection.findMany()
  const answer = await grant('ann')
  t.equal(answer.statusCode, 303)
  t.equal(answer.headers.location, `${PUBLIC_URL}/?error=CONNECTION_INACTIVE`)
  t.same(await db.prisma.cloudConnection.findMany(), before)
  t.equal((await as('ann').get('/cloud/cloud/listing')).statusCode, 503)
})

t.test('past connectionsPerUser another account is refused, and existing ones can be renewed', async (t) => {
  const { oauth, grant, db } = await oauthApp(t, { plugin: { limits: { connectionsPerUser: 1 } } })
  await grant('ann')
  oauth.signIn({ id: 'user-2', email: 'bob@example.com', name: 'Bob Example' })
  t.equal((await grant('ann')).headers.location, `${PUBLIC_URL}/?error=INVALID_REQUEST`)
  oauth.signIn(FAKE_OAUTH_USER)
  t.equal((await grant('ann')).headers.location, `${PUBLIC_URL}/`)
  t.match(await db.prisma.cloudConnection.findMany(), [{ accountId: FAKE_OAUTH_USER.id, version: 2 }])
})

t.test('a browser that disconnects while its code is exchanged is still connected', async (t) => {
  const { app, authorize: begin, oauth, db } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann')
  const { search } = await oauth.consent(authorizationUrl)
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const gate = oauth.hold('token')
  const browser = new AbortController()
  const leaving = fetch(`${address}/cloud/connections/cloud/callback${search}`, {
    headers: { cookie },
    signal: browser.signal
  })
  await gate.reached
  browser.abort()
  await t.rejects(leaving)
  gate.release()
  await until(async () => (await db.prisma.cloudConnection.count()) === 1)
  t.equal(oauth.calls.token[0]?.isBroken, false)
  t.equal(await db.prisma.oAuthState.count(), 0)
})
