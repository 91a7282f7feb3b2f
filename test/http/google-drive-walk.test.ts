import t, { type Test } from 'tap'
import { googleDrive } from '../../src/providers/google-drive/index.ts'
import { GOOGLE_CLIENT, GOOGLE_USERS } from '../fakes/google/emulate-seed.ts'
import { GoogleTokens } from '../fakes/google/emulate-tokens.ts'
import { startCloudApp, namesOf, CLOUD_PUBLIC_URL, cloudRedirectUri } from '../support/app/cloud-app.ts'
import { EmulatedGoogle } from '../fakes/google/emulate.ts'
import { FakeDrive, type FakeDriveOptions } from '../fakes/drive/fake-drive.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FAKE_OAUTH_USER } from '../fakes/oauth/rules.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { until } from '../support/time/until.ts'

const WALK_REDIRECT_URI = cloudRedirectUri('google_drive')
const SCOPE = 'https://www.googleapis.com/auth/drive.readonly'

/** A Drive with a folder and two files. */
async function seededDrive(t: Test, authorize: FakeDriveOptions['authorize'] & object) {
  const drive = await FakeDrive.start(t, { authorize })
  const invoices = drive.tree.addFolder({ name: 'Invoices' })
  const invoice = drive.tree.addFile({ name: 'january.txt', parent: invoices, content: 'January: 12 EUR' })
  drive.tree.addFile({ name: 'notes.txt', content: 'Do not forget.' })
  const refusals = () => drive.requests.filter(({ isAuthorized }) => !isAuthorized).length
  return { drive, invoices, invoice, refusals }
}

t.test('a headless walk from the consent at an independent Google to the end of the connection', async (t) => {
  const google = await EmulatedGoogle.start(t, { redirectUris: [WALK_REDIRECT_URI] })
  const tokens = await GoogleTokens.start(t, google)
  const { drive, invoices, invoice, refusals } = await seededDrive(t, (bearer) => tokens.check(bearer))
  const walk = await startCloudApp(t, {
    provider: googleDrive({ api: drive.url, server: tokens.server }),
    registration: GOOGLE_CLIENT,
    origins: [drive.url, tokens.server.tokenEndpoint],
    consent: (url) => google.consent(url)
  })

  // The user connects.
  const { authorizationUrl, cookie } = await walk.authorize()
  const { state, code_challenge, ...asked } = Object.fromEntries(new URL(authorizationUrl).searchParams)
  t.same(asked, {
    response_type: 'code',
    client_id: GOOGLE_CLIENT.clientId,
    redirect_uri: WALK_REDIRECT_URI,
    scope: SCOPE,
    code_challenge_method: 'S256',
    access_type: 'offline',
    prompt: 'consent'
  })
  t.ok(state)
  t.ok(code_challenge)
  const callback = await google.consent(authorizationUrl)
  const refused = await walk.sendCallback(callback, 'cloud_oauth_other=browser')
  t.equal(refused.status, 400, 'another browser is not connected')
  t.equal(tokens.calls.length, 0)
  const connected = await walk.sendCallback(callback, cookie)
  t.match(connected, { status: 303, location: `${CLOUD_PUBLIC_URL}/`, body: '' })
  const [connection, ...others] = await walk.connections()
  const id = connection?.id ?? ''
  t.match(connection, { provider: 'google_drive', label: GOOGLE_USERS[0].email, status: 'ACTIVE' })
  t.same(others, [])
  t.match(tokens.grants, [{ user: GOOGLE_USERS[0].email, scopes: [SCOPE], refreshToken: /^google_refresh_/ }])
  t.same((await walk.row(id)).scopes, [SCOPE])

  // The user lists and downloads.
  const root = await walk.list()
  t.equal(root.status, 200)
  t.same(namesOf(root), ['Invoices', 'notes.txt'])
  const folder = await walk.list({ folder: invoices.id })
  t.equal(folder.status, 200)
  t.same(namesOf(folder), ['january.txt'])
  t.match(await walk.download(invoice.id), { status: 200, body: 'January: 12 EUR' })
  t.equal(refusals(), 0)
  t.equal(tokens.count('refresh_token'), 0)

  // An hour passes.
  const before = await walk.row(id)
  tokens.expireAccessTokens()
  await walk.expireAccessToken(id)
  const renewed = await walk.list({ refresh: 'true' })
  t.equal(renewed.status, 200)
  t.same(namesOf(renewed), ['Invoices', 'notes.txt'])
  t.equal(tokens.count('refresh_token'), 1)
  t.equal(refusals(), 0, 'the old token is not used')
  t.match(await walk.row(id), { status: 'ACTIVE', version: before.version })
  t.match(await walk.download(invoice.id), { status: 200, body: 'January: 12 EUR' })
  t.equal(tokens.count('refresh_token'), 1)

  // The user removes the application at Google, and another hour passes.
  await google.removeApplication(tokens.grants[0]?.refreshToken ?? '')
  tokens.expireAccessTokens()
  await walk.expireAccessToken(id)
  const asksBefore = drive.requests.length
  const ended = await walk.list({ refresh: 'true' })
  t.equal(ended.status, 503)
  t.match(ended.json(), { code: 'CONNECTION_INACTIVE' })
  t.match(tokens.calls.at(-1), { params: { grant_type: 'refresh_token' }, status: 400 })
  const inactive = await walk.row(id)
  t.equal(inactive.status, 'REQUIRES_REAUTH')
  for (const answer of [await walk.list(), await walk.list({ folder: invoices.id }), await walk.download(invoice.id)]) {
    t.equal(answer.status, 503)
    t.match(answer.json(), { code: 'CONNECTION_INACTIVE' })
  }
  t.equal(tokens.count('refresh_token'), 2, 'an ended grant is refreshed once')
  t.equal(drive.requests.length, asksBefore)

  // The user connects again.
  t.match(await walk.connect(), { status: 303, location: `${CLOUD_PUBLIC_URL}/` })
  t.match(await walk.connections(), [{ id, status: 'ACTIVE', lastError: null }])
  t.ok((await walk.row(id)).version > inactive.version)
  t.same(namesOf(await walk.list()), ['Invoices', 'notes.txt'])
  t.match(await walk.download(invoice.id), { status: 200, body: 'January: 12 EUR' })

  // The user disconnects.
  const { refreshToken = '' } = tokens.grants.at(-1) ?? {}
  t.ok(await google.isGrantActive(refreshToken))
  t.match(await walk.disconnect(id), { status: 204, body: '' })
  await until(() => tokens.count('revocation') === 1)
  t.match(tokens.calls.at(-1), { endpoint: '/oauth2/revoke', params: { token: refreshToken }, status: 200 })
  t.notOk(await google.isGrantActive(refreshToken))
  t.same(await walk.connections(), [])
  t.equal((await walk.list()).status, 503)

  t.same(
    walk.events.map(({ type, connectionId, userId, provider }) => [type, connectionId, userId, provider]),
    ['connected', 'requiresReauth', 'renewed', 'disconnected'].map((type) => [type, id, 'ann', 'google_drive'])
  )
  t.equal(tokens.count('authorization_code'), 2)
  // The client secret, and twice a code, a verifier, an ID token, a refresh token and an access token; one was
  // refreshed. Two ID tokens of the same second are equal.
  t.match(String(tokens.secrets().length), /^1[12]$/)
  const harmless = ['january.txt', '"reqId"']
  t.same(walk.findLeaks(harmless), harmless, 'responses and log lines are both searched')
  t.same(walk.findLeaks(tokens.secrets()), [])
})

t.test('the same walk with a strict fake: a token that Drive rejects is refreshed once', async (t) => {
  const oauth = await FakeOAuth.start(t, {
    redirectUris: [WALK_REDIRECT_URI],
    scopes: [SCOPE],
    rotation: 'keep',
    needsOfflineAccess: true,
    revocation: 'anonymous'
  })
  const { drive, invoices, invoice, refusals } = await seededDrive(t, (bearer) => oauth.check(bearer))
  const walk = await startCloudApp(t, {
    provider: googleDrive({ api: drive.url, server: oauth.server }),
    registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET },
    origins: [drive.url, oauth.url],
    consent: (url) => oauth.consent(url)
  })

  t.match(await walk.connect(), { status: 303, location: `${CLOUD_PUBLIC_URL}/` })
  const [{ id } = { id: '' }] = await walk.connections()
  t.equal((await walk.row(id)).label, `${FAKE_OAUTH_USER.id}@example.com`)
  t.same(namesOf(await walk.list()), ['Invoices', 'notes.txt'])
  t.same(namesOf(await walk.list({ folder: invoices.id })), ['january.txt'])

  // The token expires early: Drive rejects it once.
  oauth.expireAccessTokens()
  const renewed = await walk.list({ refresh: 'true' })
  t.equal(renewed.status, 200)
  t.same(namesOf(renewed), ['Invoices', 'notes.txt'])
  t.equal(refusals(), 1)
  t.equal(oauth.tokenCalls('refresh_token'), 1)
  t.match(await walk.download(invoice.id), { status: 200, body: 'January: 12 EUR' })
  t.equal(oauth.tokenCalls('refresh_token'), 1)

  // The same for a download.
  oauth.expireAccessTokens()
  t.match(await walk.download(invoice.id), { status: 200, body: 'January: 12 EUR' })
  t.equal(refusals(), 2)
  t.equal(oauth.tokenCalls('refresh_token'), 2)

  oauth.revokeGrant(FAKE_OAUTH_USER.id)
  const ended = await walk.list({ refresh: 'true' })
  t.equal(ended.status, 503)
  t.match(ended.json(), { code: 'CONNECTION_INACTIVE' })
  t.equal(refusals(), 3)
  t.equal((await walk.row(id)).status, 'REQUIRES_REAUTH')

  t.match(await walk.connect(), { status: 303, location: `${CLOUD_PUBLIC_URL}/` })
  t.match(await walk.connections(), [{ id, status: 'ACTIVE' }])
  t.same(namesOf(await walk.list()), ['Invoices', 'notes.txt'])

  t.equal((await walk.disconnect(id)).status, 204)
  await until(() => oauth.calls.revoke.length === 1)
  await until(() => oauth.grants[1]?.endedBy === 'client')
  t.same(
    walk.events.map(({ type }) => type),
    ['connected', 'requiresReauth', 'renewed', 'disconnected']
  )
  const secrets = [
    FAKE_CLIENT_SECRET,
    ...oauth.grants.flatMap(({ accessToken, refreshToken = '' }) => [accessToken, refreshToken]),
    ...oauth.calls.token.flatMap(({ params }) => [params['code'], params['code_verifier'], params['refresh_token']])
  ].filter((secret) => secret !== undefined)
  t.same(walk.findLeaks(secrets), [])
})
