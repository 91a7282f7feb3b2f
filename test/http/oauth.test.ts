import t from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import type { ConnectionEvent } from '../../src/index.ts'
import { CALLBACK_URI, oauthApp, PUBLIC_URL } from '../support/app/app.ts'
import { FAKE_OAUTH_USER, FAKE_SCOPES } from '../fakes/oauth/rules.ts'

const BOB = { id: 'user-2', email: 'bob@example.com', name: 'Bob Example' }
const LISTING = '/cloud/cloud/listing'

const namesIn = (listing: Listing) => listing.entries.map(({ name }) => name)

t.test('authorize returns a URL of the provider with S256, a state and the redirect URI', async (t) => {
  const { oauth, as } = await oauthApp(t)
  const answer = await as('ann').send('POST', '/cloud/connections/cloud/authorize', { returnTo: `${PUBLIC_URL}/done` })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const url = new URL(answer.json<{ authorizationUrl: string }>().authorizationUrl)
  t.equal(url.origin + url.pathname, `${oauth.url}/authorize`)
  const { state, code_challenge, ...params } = Object.fromEntries(url.searchParams)
  t.match(state, /^[\w-]{43}$/)
  t.match(code_challenge, /^[\w-]{43}$/)
  t.same(params, {
    response_type: 'code',
    client_id: 'fake-client-id',
    redirect_uri: CALLBACK_URI,
    scope: 'files.read',
    code_challenge_method: 'S256',
    access_type: 'offline',
    prompt: 'consent'
  })
})

t.test('each flow has its own state, challenge and cookie', async (t) => {
  const { authorize: begin } = await oauthApp(t)
  const [one, two] = [await begin('ann'), await begin('ann')]
  const of = (url: string, name: string) => new URL(url).searchParams.get(name)
  t.not(of(one.authorizationUrl, 'state'), of(two.authorizationUrl, 'state'))
  t.not(of(one.authorizationUrl, 'code_challenge'), of(two.authorizationUrl, 'code_challenge'))
  t.not(one.cookie.split('=')[0], two.cookie.split('=')[0])
  t.not(one.cookie.split('=')[1], two.cookie.split('=')[1])
})

t.test('two flows in one browser can be completed in any order', async (t) => {
  const { authorize: begin, sendCallback, oauth } = await oauthApp(t)
  const flows = [await begin('ann'), await begin('ann')]
  const cookie = flows.map((flow) => flow.cookie).join('; ')
  for (const { authorizationUrl } of flows.reverse()) {
    const answer = await sendCallback(await oauth.consent(authorizationUrl), { cookie })
    t.equal(answer.headers.location, `${PUBLIC_URL}/`)
  }
})

t.test('the nonce is an HttpOnly cookie of the callback that expires after ten minutes', async (t) => {
  const { authorize: begin } = await oauthApp(t)
  const { setCookie } = await begin('ann')
  const [pair, ...attributes] = setCookie.split('; ')
  t.match(pair, /^cloud_oauth_[0-9a-f]{16}=[\w-]{43}$/)
  t.same(attributes.sort(), [
    'HttpOnly',
    'Max-Age=600',
    'Path=/files/cloud/connections/cloud/callback',
    'SameSite=Lax',
    'Secure'
  ])
})

t.test('scopes of the configuration replace those of the provider', async (t) => {
  const { authorize: begin, grant, db } = await oauthApp(t, { registration: { scopes: FAKE_SCOPES } })
  const { authorizationUrl } = await begin('ann')
  t.equal(new URL(authorizationUrl).searchParams.get('scope'), 'files.read files.write')
  await grant('ann')
  t.same((await db.prisma.cloudConnection.findFirstOrThrow()).scopes, FAKE_SCOPES)
})

t.test('the callback connects the account and redirects the browser', async (t) => {
  const { authorize: begin, sendCallback, oauth, as, db } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann', { returnTo: `${PUBLIC_URL}/done?step=2#here` })
  const answer = await sendCallback(await oauth.consent(authorizationUrl), { cookie })
  t.equal(answer.statusCode, 303)
  t.equal(answer.headers.location, `${PUBLIC_URL}/done?step=2#here`)
  t.equal(answer.body, '')
  t.match(await db.prisma.cloudConnection.findFirstOrThrow(), {
    userId: 'ann',
    provider: 'cloud',
    accountId: FAKE_OAUTH_USER.id,
    label: FAKE_OAUTH_USER.email,
    status: 'ACTIVE',
    scopes: ['files.read'],
    lastErrorCode: null,
    version: 1
  })
  const { connections } = (await as('ann').get('/cloud/connections')).json<{ connections: object[] }>()
  t.match(connections, [{ provider: 'cloud', account: FAKE_OAUTH_USER.id, label: FAKE_OAUTH_USER.email }])
  t.equal(oauth.tokenCalls('authorization_code'), 1)
  t.equal(await db.prisma.oAuthState.count(), 0)
})

t.test('the callback deletes the cookie of its flow', async (t) => {
  const { authorize: begin, sendCallback, oauth } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann')
  const { headers } = await sendCallback(await oauth.consent(authorizationUrl), { cookie })
  const [pair, ...attributes] = String(headers['set-cookie']).split('; ')
  t.equal(pair, `${cookie.split('=')[0] ?? ''}=`)
  t.ok(attributes.includes('Max-Age=0'))
  t.ok(attributes.includes('Path=/files/cloud/connections/cloud/callback'))
})

t.test('a label that the user chooses replaces the label of the account', async (t) => {
  const { grant, db } = await oauthApp(t)
  await grant('ann', { label: 'Work' })
  t.equal((await db.prisma.cloudConnection.findFirstOrThrow()).label, 'Work')
})

t.test('an OAuth connection is listed with its own token', async (t) => {
  const { grant, as, oauth, cloud } = await oauthApp(t)
  await grant('ann')
  const answer = await as('ann').get(LISTING)
  t.equal(answer.statusCode, 200)
  t.same(namesIn(answer.json<Listing>()), [`file of ${FAKE_OAUTH_USER.id}`])
  t.equal(cloud.tokens.at(-1), oauth.grants[0]?.accessToken)
})

t.test('a second user who signs in with the same account has a separate connection', async (t) => {
  const { grant, db } = await oauthApp(t)
  await grant('ann')
  await grant('bob')
  const rows = await db.prisma.cloudConnection.findMany({ orderBy: { userId: 'asc' } })
  t.match(rows, [
    { userId: 'ann', accountId: FAKE_OAUTH_USER.id, version: 1 },
    { userId: 'bob', accountId: FAKE_OAUTH_USER.id, version: 1 }
  ])
})

t.test('no secret of a flow appears in plain text in the database, in a response or in the log', async (t) => {
  const { authorize: begin, sendCallback, oauth, as, db, log } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann')
  const flows = JSON.stringify(await db.prisma.oAuthState.findMany())
  const callback = await oauth.consent(authorizationUrl)
  const answer = await sendCallback(callback, { cookie })
  const listed = await as('ann').get(LISTING)
  const connections = await as('ann').get('/cloud/connections')
  const rows = JSON.stringify(await db.prisma.cloudConnection.findMany())
  const secrets: Record<string, string | undefined> = {
    state: callback.searchParams.get('state') ?? undefined,
    code: callback.searchParams.get('code') ?? undefined,
    nonce: cookie.split('=')[1],
    verifier: oauth.calls.token[0]?.params['code_verifier'],
    'access token': oauth.grants[0]?.accessToken,
    'refresh token': oauth.grants[0]?.refreshToken,
    'client secret': 'fake-client-secret'
  }
  const told = answer.body + JSON.stringify(answer.headers) + listed.body + connections.body
  const everything = decodeURIComponent(flows + rows + told.replaceAll('%', '%25') + log.join(''))
  t.ok(log.length > 0)
  for (const [name, secret] of Object.entries(secrets)) {
    t.ok(secret, name)
    t.notOk(everything.includes(secret ?? ''), name)
    t.notOk(everything.includes(encodeURIComponent(secret ?? '')), `${name}, encoded`)
  }
})

t.test('responses of the callback are not cached and send no referrer', async (t) => {
  const { grant, sendCallback } = await oauthApp(t)
  for (const answer of [await grant('ann'), await sendCallback(`${CALLBACK_URI}?state=wrong&code=x`)]) {
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal(answer.headers['referrer-policy'], 'no-referrer')
  }
})

t.test('HEAD on the callback has no effect', async (t) => {
  const { authorize: begin, sendCallback, oauth, app } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann')
  const callback = await oauth.consent(authorizationUrl)
  const url = callback.pathname.replace('/files', '') + callback.search
  t.equal((await app.inject({ method: 'HEAD', url, headers: { cookie } })).statusCode, 405)
  t.equal(oauth.tokenCalls(), 0)
  t.equal((await sendCallback(callback, { cookie })).headers.location, `${PUBLIC_URL}/`)
})

t.test('the query of the callback is never logged, whatever the result', async (t) => {
  const { authorize: begin, sendCallback, oauth, log, app } = await oauthApp(t)
  const { authorizationUrl, cookie } = await begin('ann')
  oauth.failNext(1, { status: 500, error: 'server_error' })
  const callback = await oauth.consent(authorizationUrl)
  callback.searchParams.set('marked', 'in-the-query')
  await sendCallback(callback, { cookie })
  await sendCallback(callback)
  await sendCallback(callback.href.replace('/cloud/callback', '/scripted/callback'))
  const url = callback.pathname.replace('/files', '') + callback.search
  await app.inject({ method: 'HEAD', url })
  t.match(log.join(''), '/cloud/connections/cloud/callback')
  t.notMatch(log.join(''), /in-the-query|\?state|\?code/)
})

t.test('connecting an account again renews its row and drops its cached listings', async (t) => {
  const events: ConnectionEvent[] = []
  const { grant, as, oauth, app, db, cloud } = await oauthApp(t, {
    plugin: { onConnectionChange: (event) => events.push(event) }
  })
  await grant('ann', { label: 'Mine' })
  await as('ann').get(LISTING)
  t.equal(app.folderCache.stats().entries, 1)
  const before = await db.prisma.cloudConnection.findFirstOrThrow()
  await grant('ann')
  t.equal(app.folderCache.stats().entries, 0)
  const after = await db.prisma.cloudConnection.findMany()
  t.match(after, [{ id: before.id, label: 'Mine', version: before.version + 1, status: 'ACTIVE' }])
  t.ok((after[0]?.connectedAt ?? 0) > before.connectedAt)
  t.same(
    events.map(({ type, connectionId }) => [type, connectionId]),
    [
      ['connected', before.id],
      ['renewed', before.id]
    ]
  )
  t.equal((await as('ann').get(LISTING)).statusCode, 200)
  t.equal(cloud.tokens.at(-1), oauth.grants[1]?.accessToken, 'the new token is used')
})

t.test('connecting again activates a connection that requires reauthentication', async (t) => {
  const { grant, as, db } = await oauthApp(t)
  await grant('ann')
  await db.prisma.cloudConnection.updateMany({
    data: { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' }
  })
  t.equal((await as('ann').get(LISTING)).statusCode, 503)
  await grant('ann')
  t.match(await db.prisma.cloudConnection.findMany(), [{ status: 'ACTIVE', lastErrorCode: null }])
  t.equal((await as('ann').get(LISTING)).statusCode, 200)
})

t.test('a user can connect a second account, and requests then need a connection id or a default', async (t) => {
  const { grant, as, oauth, db } = await oauthApp(t)
  await grant('ann')
  oauth.signIn(BOB)
  await grant('ann')
  const second = await db.prisma.cloudConnection.findFirstOrThrow({ where: { accountId: BOB.id } })
  t.equal(await db.prisma.cloudConnection.count(), 2)
  const ambiguous = await as('ann').get(LISTING)
  t.equal(ambiguous.statusCode, 400)
  t.match(ambiguous.json(), { code: 'CONNECTION_AMBIGUOUS' })
  const named = await as('ann').get(`${LISTING}?connection=${second.id}`)
  t.same(namesIn(named.json<Listing>()), [`file of ${BOB.id}`])
  await as('ann').send('PATCH', `/cloud/connections/${second.id}`, { default: true })
  t.same(namesIn((await as('ann').get(LISTING)).json<Listing>()), [`file of ${BOB.id}`])
})

t.test('every user sees the provider, and only its connect method', async (t) => {
  const { as } = await oauthApp(t)
  const { providers } = (await as('ann').get('/cloud/providers')).json<{
    providers: { id: string; connect: object }[]
  }>()
  t.same(providers.find(({ id }) => id === 'cloud')?.connect, { type: 'oauth2' })
})

t.test('credentials cannot be posted for an OAuth provider', async (t) => {
  const { as, db } = await oauthApp(t)
  const answer = await as('ann').send('POST', '/cloud/connections/cloud', { accessToken: 'hunter2' })
  t.equal(answer.statusCode, 501)
  t.match(answer.json(), { code: 'UNSUPPORTED' })
  t.notMatch(answer.body, 'hunter2')
  t.equal(await db.prisma.cloudConnection.count(), 0)
})
