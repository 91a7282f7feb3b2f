import t, { type Test } from 'tap'
import * as client from 'openid-client'
import { sendRequest, basicAuth, takeMistakes } from '../../support/dav/requests.ts'
import { CLIENT, encodeForm, REDIRECT_URI, SCOPE, startFakeOAuth, type Params } from './client.ts'
import {
  respondsWith,
  respondsWithHtml,
  disconnectsMidBody,
  truncatesJson,
  hangs,
  patchesResponse,
  padsResponse,
  afterPerforming,
  redirects,
  resets
} from './faults.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FAKE_OAUTH_USER, FAKE_SCOPES, type ClientAuthentication } from './rules.ts'
import { FakeOAuth } from './fake-oauth.ts'
import { until } from '../../support/time/until.ts'

const BOB = { id: 'user-2', email: 'bob@example.com', name: 'Bob Example' }

const AUTHENTICATIONS: readonly (readonly [ClientAuthentication, client.ClientAuth])[] = [
  ['client_secret_post', client.ClientSecretPost(FAKE_CLIENT_SECRET)],
  ['client_secret_basic', client.ClientSecretBasic(FAKE_CLIENT_SECRET)],
  ['none', client.None()]
]

for (const [clientAuthentication, authentication] of AUTHENTICATIONS) {
  t.test(`openid-client completes the flow with ${clientAuthentication}`, async (t) => {
    const { oauth } = await startFakeOAuth(t, { clientAuthentication, rotation: 'single-use' })
    const { url: issuer } = oauth
    const configuration = new client.Configuration(
      {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        revocation_endpoint: `${issuer}/revoke`,
        authorization_response_iss_parameter_supported: true
      },
      FAKE_CLIENT_ID,
      {},
      authentication
    )
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the library's way of saying that it is for tests
    client.allowInsecureRequests(configuration)
    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const expectedState = client.randomState()
    const callback = await oauth.consent(
      client.buildAuthorizationUrl(configuration, {
        redirect_uri: REDIRECT_URI,
        scope: SCOPE,
        state: expectedState,
        code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256'
      })
    )
    const tokens = await client.authorizationCodeGrant(configuration, callback, { pkceCodeVerifier, expectedState })
    t.match(tokens, { token_type: 'bearer', expires_in: 3600, scope: SCOPE })
    t.same(oauth.check(tokens.access_token), { user: FAKE_OAUTH_USER.id, scopes: FAKE_SCOPES })
    const refreshed = await client.refreshTokenGrant(configuration, tokens.refresh_token ?? '')
    t.not(refreshed.access_token, tokens.access_token)
    t.same(oauth.userOf(refreshed.access_token), FAKE_OAUTH_USER)
    t.ok(oauth.check(tokens.access_token), 'the previous access token stays valid')
    await client.tokenRevocation(configuration, refreshed.refresh_token ?? '')
    t.equal(oauth.check(refreshed.access_token), null)
    const again = client.refreshTokenGrant(configuration, refreshed.refresh_token ?? '')
    const error: unknown = await again.catch((reason: unknown) => reason)
    t.match(error, { code: 'OAUTH_RESPONSE_BODY_ERROR', error: 'invalid_grant' })
    t.match(oauth.grants, [{ refreshes: 1, isAlive: false, endedBy: 'client', reuseDetected: false }])
    t.equal(oauth.tokenCalls(), 3)
    t.equal(oauth.tokenCalls('refresh_token'), 2)
    t.match(oauth.calls.token[0], { authentication: clientAuthentication, status: 200, isBroken: false })
    t.match(oauth.calls.token[2]?.params, { grant_type: 'refresh_token', refresh_token: refreshed.refresh_token })
  })
}

t.test('the fake records invalid authorization requests before the user is asked', async (t) => {
  const { oauth, authorizationUrl } = await startFakeOAuth(t)
  const sent: [string, string, Params][] = [
    ['unsupported_response_type', 'a response type that is not code', { response_type: 'token' }],
    ['invalid_request', 'no state', { state: undefined }],
    ['invalid_request', 'no code challenge', { code_challenge: undefined, code_challenge_method: undefined }],
    ['invalid_request', 'the challenge method plain', { code_challenge_method: 'plain' }],
    ['invalid_request', 'the challenge method null', { code_challenge_method: undefined }],
    ['invalid_request', 'a challenge that is no SHA-256', { code_challenge: 'short' }],
    ['invalid_request', 'the parameter client_secret', { client_secret: FAKE_CLIENT_SECRET }],
    ['invalid_request', 'the parameter nonce without a value', { nonce: '' }],
    ['invalid_request', 'a response mode that is not query', { response_mode: 'fragment' }],
    ['invalid_request', 'an unknown access type', { access_type: 'later' }],
    ['invalid_scope', 'no scope', { scope: undefined }],
    ['invalid_scope', 'the scope everything', { scope: 'files.read everything' }]
  ]
  for (const [error, what, more] of sent) {
    const { searchParams } = await oauth.consent(authorizationUrl(more))
    t.equal(searchParams.get('error'), error, what)
    t.equal(searchParams.get('state'), 'state' in more ? null : 'state-1')
    t.notOk(searchParams.has('code'))
    t.same(takeMistakes(oauth), [what])
  }
  await oauth.consent(`${authorizationUrl()}&state=other`)
  t.same(takeMistakes(oauth), ['the parameter state twice'])
  const shown: [string, Params][] = [
    ['the client other', { client_id: 'other' }],
    [`the redirect URI ${REDIRECT_URI}/`, { redirect_uri: `${REDIRECT_URI}/` }]
  ]
  for (const [what, more] of shown) {
    await t.rejects(oauth.consent(authorizationUrl(more)), /the user sees 400/)
    t.same(takeMistakes(oauth), [what])
  }
  t.equal((await sendRequest(authorizationUrl(), { method: 'POST' })).status, 405)
  t.equal((await sendRequest(`${oauth.url}/.well-known/openid-configuration`)).status, 404)
  t.same(takeMistakes(oauth), ['the method POST', 'a route that there is not'])
})

t.test('the fake records invalid requests at the token endpoint', async (t) => {
  const { oauth, post } = await startFakeOAuth(t)
  const { refresh_token } = oauth.issueGrant({ scopes: ['files.read'] })
  const right = { grant_type: 'refresh_token', refresh_token, ...CLIENT }
  const exchange = { grant_type: 'authorization_code', code: 'c', redirect_uri: REDIRECT_URI, ...CLIENT }
  const mistakes: [string, string, Params][] = [
    ['unsupported_grant_type', 'the grant type password', { ...right, grant_type: 'password' }],
    ['invalid_request', 'no grant_type', { ...right, grant_type: undefined }],
    ['invalid_request', 'no refresh_token', { ...right, refresh_token: undefined }],
    ['invalid_request', 'the parameter access_type', { ...right, access_type: 'offline' }],
    ['invalid_scope', 'the scope files.write, which was not granted', { ...right, scope: SCOPE }],
    ['invalid_request', 'no redirect_uri', { ...exchange, redirect_uri: undefined }],
    ['invalid_request', 'a verifier that is not in the shape of RFC 7636', { ...exchange, code_verifier: 'short' }],
    ['invalid_client', 'authentication by none', { ...right, client_secret: undefined }]
  ]
  for (const [error, what, params] of mistakes) {
    const { status, json } = await post('token', params)
    t.match({ status, error: json.error }, { status: error === 'invalid_client' ? 401 : 400, error }, what)
    t.same(takeMistakes(oauth), [what])
  }
  await post('token', right, { 'content-type': 'application/json' })
  await post('token?grant_type=refresh_token', right)
  await post('token', right, basicAuth(FAKE_CLIENT_ID, 'secret'))
  t.equal((await sendRequest(`${oauth.url}/token`)).status, 405)
  t.same(takeMistakes(oauth), [
    'the content type application/json',
    'a query besides the form',
    'several ways to authenticate',
    'the method GET'
  ])
  t.equal(oauth.grants[0]?.refreshes, 0)
})

t.test('a wrong secret is invalid_client, with a challenge only for an Authorization header', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t)
  const { refresh_token } = oauth.issueGrant()
  const wrong = await refresh(refresh_token, { client_secret: 'wrong' })
  t.match(wrong, { status: 401, json: { error: 'invalid_client' }, headers: { 'cache-control': 'no-store' } })
  t.notOk('www-authenticate' in wrong.headers)
  oauth.rules.clientAuthentication = 'client_secret_basic'
  const none = { grant_type: 'refresh_token', refresh_token }
  const url = `${oauth.url}/token`
  const asked = (headers: Readonly<Record<string, string>>) =>
    sendRequest(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: encodeForm(none).toString()
    })
  // Without the form encoding that must precede base64.
  const header = await asked(basicAuth(FAKE_CLIENT_ID, FAKE_CLIENT_SECRET))
  t.match(header, { status: 401, headers: { 'www-authenticate': /^Basic realm=/ } })
  t.equal((await asked(basicAuth(FAKE_CLIENT_ID, encodeURIComponent(FAKE_CLIENT_SECRET)))).status, 200)
  t.same(
    oauth.calls.token.map(({ authentication, status }) => [authentication, status]),
    [
      ['client_secret_post', 401],
      ['client_secret_basic', 401],
      ['client_secret_basic', 200]
    ]
  )
})

t.test('a code is bound to its redirect URI, verifier and lifetime, and consumed by a failed attempt', async (t) => {
  let now = 0
  const { oauth, code, exchange } = await startFakeOAuth(t, { pkce: 'optional', now: () => now })
  const other = 'http://127.0.0.1:1/other'
  oauth.rules.redirectUris.push(other)
  for (const more of [
    { redirect_uri: other },
    { code_verifier: 'w'.repeat(43) },
    { code_verifier: undefined }
  ] satisfies Params[]) {
    const fresh = await code()
    t.match(await exchange(fresh, more), { status: 400, json: { error: 'invalid_grant' } })
    t.equal((await exchange(fresh)).status, 400)
  }
  const without = { code_challenge: undefined, code_challenge_method: undefined }
  t.equal((await exchange(await code(without))).status, 400, 'a verifier for a code without a challenge')
  t.equal((await exchange(await code(without), { code_verifier: undefined })).status, 200)
  const late = await code()
  now = 600_000
  t.match(await exchange(late), { status: 400, json: { error: 'invalid_grant' } })
  t.equal((await exchange('unknown')).status, 400)
  t.equal(oauth.grants.length, 1)
})

t.test('a redirect URI keeps its query', async (t) => {
  const { oauth, authorizationUrl, exchange } = await startFakeOAuth(t)
  const redirectUri = `${REDIRECT_URI}?from=fake`
  oauth.rules.redirectUris = [redirectUri]
  const { searchParams } = await oauth.consent(authorizationUrl({ redirect_uri: redirectUri }))
  t.equal(searchParams.get('from'), 'fake')
  t.equal((await exchange(searchParams.get('code') ?? '', { redirect_uri: redirectUri })).status, 200)
})

t.test('a code that is used twice ends its grant', async (t) => {
  const { oauth, code, exchange, refresh } = await startFakeOAuth(t)
  const used = await code()
  const { json } = await exchange(used)
  t.ok(oauth.check(json.access_token))
  t.match(await exchange(used), { status: 400, json: { error: 'invalid_grant' } })
  t.equal(oauth.check(json.access_token), null)
  t.equal((await refresh(json.refresh_token)).status, 400)
  t.match(oauth.grants, [{ endedBy: 'code reuse', reuseDetected: false }])
})

t.test('without rotation the refresh token stays valid, and is not returned again', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'keep' })
  const { refresh_token } = oauth.issueGrant()
  for (const times of [1, 2]) {
    const { status, json } = await refresh(refresh_token)
    t.equal(status, 200)
    t.notOk('refresh_token' in json)
    t.equal(oauth.grants[0]?.refreshes, times)
  }
})

t.test('with rotation each refresh returns another token, and previous ones stay valid', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'rotate' })
  const { refresh_token: first } = oauth.issueGrant()
  const { json } = await refresh(first)
  t.not(json.refresh_token, first)
  for (const token of [first, json.refresh_token]) t.equal((await refresh(token)).status, 200)
  t.equal(oauth.grants[0]?.isAlive, true)
})

t.test('a single-use token that is used twice ends the grant with all of its tokens', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'single-use' })
  const { refresh_token: first } = oauth.issueGrant()
  const { refresh_token: other } = oauth.issueGrant({ user: BOB })
  const { json } = await refresh(first)
  t.equal(oauth.grants[0]?.refreshToken, json.refresh_token)
  t.match(await refresh(first), { status: 400, json: { error: 'invalid_grant' } })
  t.equal((await refresh(json.refresh_token)).status, 400)
  t.equal(oauth.check(json.access_token), null)
  t.match(oauth.grants[0], { isAlive: false, reuseDetected: true, refreshes: 1 })
  t.equal((await refresh(other)).status, 200)
})

t.test('of twelve concurrent refreshes with a single-use token one succeeds, and the grant ends', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'single-use' })
  const { refresh_token } = oauth.issueGrant()
  const gate = oauth.hold('token')
  const asked = Promise.all(Array.from({ length: 12 }, () => refresh(refresh_token)))
  await until(() => gate.heldCount === 12)
  gate.release()
  const statuses = (await asked).map(({ status }) => status)
  t.equal(statuses.filter((status) => status === 200).length, 1)
  t.equal(statuses.filter((status) => status === 400).length, 11)
  t.match(oauth.grants[0], { reuseDetected: true, refreshes: 1 })
  t.equal(oauth.tokenCalls('refresh_token'), 12)
})

t.test('an access token expires by the clock of the test, and can have fewer scopes', async (t) => {
  let now = Date.UTC(2026, 0, 1)
  const { oauth, refresh } = await startFakeOAuth(t, {
    now: () => now,
    accessTokenSeconds: 60,
    refreshEndsAccess: true
  })
  const issued = oauth.issueGrant({ expiresInSeconds: 10 })
  t.equal(issued.expires_in, 10)
  now += 9_999
  t.ok(oauth.check(issued.access_token))
  now += 1
  t.equal(oauth.check(issued.access_token), null)
  const { json } = await refresh(issued.refresh_token, { scope: 'files.read' })
  t.equal(json.expires_in, 60)
  t.same(oauth.check(json.access_token), { user: FAKE_OAUTH_USER.id, scopes: ['files.read'] })
  const { json: next } = await refresh(issued.refresh_token)
  t.equal(oauth.check(json.access_token), null, 'the refresh has ended it')
  t.equal(next.scope, SCOPE)
  oauth.expireAccessTokens()
  t.equal(oauth.check(next.access_token), null)
  t.equal(oauth.check('unknown'), null)
  oauth.rules.accessTokenSeconds = undefined
  const { json: endless } = await refresh(issued.refresh_token)
  t.notOk('expires_in' in endless)
  now += 1e12
  t.ok(oauth.check(endless.access_token))
})

t.test('a refresh token requires offline access, and a first authorization or a consent', async (t) => {
  const { oauth, code, exchange } = await startFakeOAuth(t, { needsOfflineAccess: true })
  const hasOne = async (more: Params) => 'refresh_token' in (await exchange(await code(more))).json
  t.notOk(await hasOne({}))
  t.ok(await hasOne({ access_type: 'offline' }))
  t.notOk(await hasOne({ access_type: 'offline' }))
  t.notOk(await hasOne({ access_type: 'offline', prompt: 'select_account' }))
  t.ok(await hasOne({ access_type: 'offline', prompt: 'consent select_account' }))
  oauth.signIn(BOB)
  t.ok(await hasOne({ access_type: 'offline' }))
  oauth.revokeGrant(BOB.id)
  t.ok(await hasOne({ access_type: 'offline' }), 'a removed application is authorized for the first time')
})

t.test('a decision of the user applies to one authorization', async (t) => {
  const { oauth, authorizationUrl, code, exchange } = await startFakeOAuth(t)
  const callback = async () => Object.fromEntries((await oauth.consent(authorizationUrl())).searchParams)
  oauth.deny()
  const denied = await callback()
  t.match(denied, { error: 'access_denied', state: 'state-1', iss: oauth.url })
  t.notOk('code' in denied)
  oauth.patchCallback({ error: 'server_error' })
  t.match(await callback(), { error: 'server_error' })
  oauth.patchCallback({ iss: 'https://evil.example' })
  t.match(await callback(), { code: String, iss: 'https://evil.example' })
  oauth.patchCallback({ iss: undefined })
  t.notOk('iss' in (await callback()))
  oauth.grantOnly(['files.read'])
  const { json } = await exchange(await code())
  t.equal(json.scope, 'files.read')
  t.same(oauth.grants[0]?.scopes, ['files.read'])
  t.match(await callback(), { code: String, iss: oauth.url, scope: SCOPE })
  oauth.rules.defaultScopes = ['files.write']
  t.equal((await exchange(await code({ scope: undefined }))).json.scope, 'files.write')
})

t.test('a user who removes the application ends only their own grants, at once', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t)
  const alice = oauth.issueGrant()
  const bob = oauth.issueGrant({ user: BOB })
  oauth.revokeGrant(FAKE_OAUTH_USER.id)
  t.equal(oauth.check(alice.access_token), null)
  t.match(await refresh(alice.refresh_token), { status: 400, json: { error: 'invalid_grant' } })
  t.same(oauth.userOf(bob.access_token), BOB)
  t.throws(() => {
    oauth.revokeGrant(FAKE_OAUTH_USER.id)
  }, /no grant that lives/)
})

t.test('a revocation with any valid token ends the grant, and accepts unknown tokens', async (t) => {
  const { oauth, refresh, revoke } = await startFakeOAuth(t, { rotation: 'single-use' })
  const first = oauth.issueGrant()
  t.equal((await revoke('unknown')).status, 200)
  const { json } = await refresh(first.refresh_token)
  t.equal((await revoke(first.refresh_token)).status, 200)
  t.equal(oauth.grants[0]?.isAlive, true, 'a used token revokes nothing')
  t.equal((await revoke(json.access_token, { ...CLIENT, token_type_hint: 'access_token' })).status, 200)
  t.equal(oauth.grants[0]?.endedBy, 'client')

  t.equal((await revoke('token', {})).status, 401)
  t.same(takeMistakes(oauth), ['authentication by none'])
  oauth.rules.revocation = 'anonymous'
  const second = oauth.issueGrant()
  t.equal((await revoke(second.refresh_token, {})).status, 200)
  t.equal(oauth.grants[1]?.endedBy, 'client')
  await revoke(second.refresh_token, { token_type_hint: 'id_token' })
  t.same(takeMistakes(oauth), ['the token type id_token'])
})

t.test('a scripted fault applies to the configured number of requests of its endpoint', async (t) => {
  const { oauth, authorizationUrl, refresh, revoke } = await startFakeOAuth(t)
  const { refresh_token } = oauth.issueGrant()
  oauth.failNext(1, { status: 429, error: 'slow_down', headers: { 'retry-after': '7' } })
  oauth.failNext(2, respondsWithHtml(503))
  oauth.failNext(1, respondsWithHtml(200))
  oauth.failNext(1, redirects('http://127.0.0.1:1/'))
  oauth.failNext(1, respondsWith({ status: 500, error: 'server_error' }), { endpoint: 'revoke' })
  t.equal((await revoke(refresh_token)).status, 500)
  t.match(await refresh(refresh_token), { status: 429, headers: { 'retry-after': '7' }, json: { error: 'slow_down' } })
  for (const status of [503, 503, 200]) {
    t.match(await refresh(refresh_token), { status, headers: { 'content-type': /html/ } })
  }
  t.match(await refresh(refresh_token), { status: 307, headers: { location: 'http://127.0.0.1:1/' } })
  oauth.failNext(Infinity, { status: 500, error: 'server_error' })
  t.equal((await refresh(refresh_token)).status, 500)
  t.equal(oauth.grants[0]?.refreshes, 0)
  oauth.stopFailing()
  t.equal((await refresh(refresh_token)).status, 200)
  oauth.failNext(1, { status: 503, error: 'server_error' }, { endpoint: 'authorize' })
  await t.rejects(oauth.consent(authorizationUrl()), /the user sees 503/)
})

t.test('a mistake is recorded even if the request gets a scripted fault', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t)
  oauth.failNext(1, { status: 503, error: 'server_error' })
  t.equal((await refresh('token', { unknown: '1' })).status, 503)
  t.same(takeMistakes(oauth), ['the parameter unknown'])
})

t.test('a faulty or truncated response follows a performed request', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'rotate' })
  const { refresh_token } = oauth.issueGrant()
  oauth.failNext(1, patchesResponse({ access_token: undefined, token_type: 'mac', expires_in: '-1' }))
  const { json } = await refresh(refresh_token)
  t.match(json, { token_type: 'mac', expires_in: '-1', refresh_token: oauth.grants[0]?.refreshToken })
  t.notOk('access_token' in json)
  oauth.failNext(1, truncatesJson())
  await t.rejects(refresh(refresh_token), SyntaxError)
  for (const fault of [disconnectsMidBody(), afterPerforming(resets())]) {
    oauth.failNext(1, fault)
    await t.rejects(refresh(refresh_token))
  }
  await until(() => oauth.calls.token.at(-1)?.isBroken === true)
  oauth.failNext(1, padsResponse(1_000_000))
  const { text } = await refresh(refresh_token)
  t.equal(text.trimStart().length, text.length - 1_000_000)
  t.match(JSON.parse(text), { access_token: oauth.grants[0]?.accessToken })
  t.equal(oauth.grants[0]?.refreshes, 5)
  oauth.failNext(1, resets())
  await t.rejects(refresh(refresh_token), { code: 'ECONNRESET' })
  t.equal(oauth.grants[0]?.refreshes, 5)
  oauth.failNext(1, patchesResponse({ token_type: 'mac' }))
  t.match(await refresh('unknown'), { status: 400, json: { error: 'invalid_grant', token_type: undefined } })
})

t.test('a hanging request ends when the client disconnects', async (t) => {
  const { oauth } = await startFakeOAuth(t)
  oauth.failNext(1, hangs())
  const controller = new AbortController()
  const asked = fetch(`${oauth.url}/token`, {
    method: 'POST',
    body: encodeForm({ grant_type: 'refresh_token', refresh_token: 'token', ...CLIENT }),
    signal: controller.signal
  })
  await until(() => oauth.tokenCalls() === 1)
  t.match(oauth.calls.token[0], { status: undefined, isBroken: false })
  controller.abort()
  await t.rejects(asked, { name: 'AbortError' })
  await until(() => oauth.calls.token[0]?.isBroken === true)
})

t.test('a gate holds requests before or after they are performed', async (t) => {
  const { oauth, refresh } = await startFakeOAuth(t, { rotation: 'single-use' })
  const { refresh_token } = oauth.issueGrant()
  const before = oauth.hold()
  const first = refresh(refresh_token)
  await before.reached
  t.equal(oauth.tokenCalls(), 1)
  t.equal(oauth.grants[0]?.refreshes, 0)
  before.release()
  const { json } = await first
  t.equal(oauth.grants[0]?.refreshToken, json.refresh_token)

  const after = oauth.hold('token', { isPerformed: true })
  const second = refresh(json.refresh_token)
  await after.reached
  t.equal(oauth.grants[0]?.refreshes, 2)
  // The user removes the application while the response is pending.
  oauth.revokeGrant(FAKE_OAUTH_USER.id)
  after.release()
  const answer = await second
  t.equal(answer.status, 200)
  t.equal(oauth.check(answer.json.access_token), null)
})

t.test('a test whose application sends an invalid request fails', async (t) => {
  const hooks: (() => Promise<void>)[] = []
  const oauth = await FakeOAuth.start({ teardown: (hook: () => Promise<void>) => hooks.push(hook) } as unknown as Test)
  await sendRequest(`${oauth.url}/userinfo`)
  await t.rejects(hooks[0]!(), /reported mistakes: GET \/userinfo: a route that there is not/)
})

t.test('responses must not be stored', async (t) => {
  const { authorizationUrl, code, exchange, revoke } = await startFakeOAuth(t)
  for (const { headers } of [
    await sendRequest(authorizationUrl()),
    await exchange(await code()),
    await revoke('unknown')
  ]) {
    t.equal(headers['cache-control'], 'no-store')
  }
})
