import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import t, { type Test } from 'tap'
import { GOOGLE_ACCOUNT, startGoogle } from '../../demo/clouds/google.ts'
import { startControls } from '../../demo/controls/server.ts'
import { GOOGLE_CLIENT } from '../fakes/google/emulate-seed.ts'
import { readForms } from '../fakes/google/emulate-page.ts'
import { ManualClock } from '../support/time/clock.ts'
import { createDemoConfig, readSettings } from '../../demo/settings.ts'

const SERVER = 'http://127.0.0.1:3000'
const VERIFIER = 'a-verifier-of-43-characters-and-more-0000000'

async function controls(t: Test) {
  const clock = new ManualClock()
  const google = await startGoogle(t, { redirectUri: `${SERVER}/callback`, clock })
  const url = await startControls(t, { faults: google.faults, serverUrl: SERVER })
  const { origin, host } = new URL(url)
  /** Sends the form of this page, like a browser. */
  const press = (action: string, headers: Record<string, string> = { origin }) =>
    fetch(new URL(action, url), { method: 'POST', headers, redirect: 'manual' })
  return { ...google, clock, url, host, press, read: async () => (await fetch(url)).text() }
}

t.test('each button has its effect, which the page shows', async (t) => {
  const { faults: moods, clock, url, read, press } = await controls(t)
  const html = await read()
  t.match(html, 'no application has access, not throttling, not slow')
  const actions = readForms(html).map(({ action }) => action)
  t.same(actions, ['/take-access-away', '/throttle', '/slow-down', '/calm-down'])

  t.match(await press('/throttle'), { status: 303 })
  t.equal(moods.throttledForMs, 20_000)
  clock.tick(500)
  t.match(await press('/slow-down'), { status: 303 })
  t.match(await read(), 'throttling for 20 s more, slow for 20 s more')
  t.equal((await fetch(url)).headers.get('refresh'), '1', 'while a fault is active')
  clock.tick(19_500)
  t.match(await read(), 'not throttling, slow for 1 s more')
  t.match(await press('/calm-down'), { status: 303 })
  t.match(await read(), 'not throttling, not slow')
  t.equal((await fetch(url)).headers.get('refresh'), null)
})

t.test('the button that revokes access ends every grant', async (t) => {
  const { emulated, tokens, faults: moods, read, press } = await controls(t)
  const { clientId, clientSecret } = GOOGLE_CLIENT
  for (const expected of [1, 2]) {
    const { authorizationEndpoint, tokenEndpoint } = tokens.server
    const query = new URLSearchParams({
      client_id: clientId,
      redirect_uri: `${SERVER}/callback`,
      scope: 'https://www.googleapis.com/auth/drive',
      code_challenge: VERIFIER,
      code_challenge_method: 'plain'
    })
    const back = await emulated.consent(`${authorizationEndpoint}?${query.toString()}`, GOOGLE_ACCOUNT.email)
    const body = new URLSearchParams({
      client_id: clientId,
      client_secret: clientSecret,
      code: back.searchParams.get('code') ?? '',
      code_verifier: VERIFIER,
      grant_type: 'authorization_code',
      redirect_uri: `${SERVER}/callback`
    })
    t.equal((await fetch(tokenEndpoint, { method: 'POST', body })).status, 200)
    t.equal(await moods.grants(), expected)
  }
  t.match(await read(), 'access was granted 2 times')
  const bearers = tokens.grants.map(({ accessTokens }) => accessTokens[0] ?? '')
  t.ok(bearers.every((bearer) => tokens.check(bearer) !== null))
  t.match(await press('/take-access-away'), { status: 303 })
  t.match(await read(), 'no application has access')
  t.ok(bearers.every((bearer) => tokens.check(bearer) === null))
  t.match(await press('/take-access-away'), { status: 303 }, 'no access is left to revoke')
})

t.test('a page of another site cannot press a button', async (t) => {
  const { faults: moods, press } = await controls(t)
  t.equal((await press('/throttle', {})).status, 403)
  for (const origin of ['null', SERVER, 'http://localhost:1', 'https://evil.example']) {
    t.equal((await press('/throttle', { origin })).status, 403, origin)
  }
  t.equal(moods.throttledForMs, 0)
})

t.test('another host name that resolves to the server shows no page and presses no button', async (t) => {
  const { faults: moods, host } = await controls(t)
  const [hostname, port] = host.split(':')
  for (const [method, path] of [
    ['GET', '/'],
    ['POST', '/throttle']
  ] as const) {
    const headers = { host: `evil.example:${port ?? ''}`, origin: `http://evil.example:${port ?? ''}` }
    const asked = request({ hostname, port, method, path, headers }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    t.equal(answer.statusCode, 421, method)
  }
  t.equal(moods.throttledForMs, 0)
})

t.test('the page has no scripts, loads nothing from other hosts, and cannot be framed', async (t) => {
  const { url, read } = await controls(t)
  const { headers } = await fetch(url)
  const policy = headers.get('content-security-policy')
  t.match(policy, "default-src 'none'")
  t.match(policy, "frame-ancestors 'none'")
  t.equal(headers.get('cache-control'), 'no-store')
  t.notMatch(await read(), /<script|style=|javascript:/)
  t.equal((await fetch(new URL('styles.css', url))).headers.get('content-type'), 'text/css; charset=utf-8')
})

t.test('any request except for the page and its buttons is refused', async (t) => {
  const { faults: moods, url, press } = await controls(t)
  t.equal((await fetch(new URL('throttle', url))).status, 405)
  t.equal((await press('/constructor')).status, 404)
  t.equal((await press('/')).status, 404)
  t.equal((await fetch(new URL('nothing', url))).status, 404)
  t.equal(moods.throttledForMs, 0)
})

t.test('an empty environment is enough', async (t) => {
  t.same(readSettings({}), { port: 3000, logLevel: 'error' })
  t.same(readSettings({ PORT: '', LOG_LEVEL: '', DATABASE_URL: '', NODE_ENV: '' }), { port: 3000, logLevel: 'error' })
  t.same(readSettings({ PORT: '0', LOG_LEVEL: 'debug', NODE_ENV: 'development' }), { port: 0, logLevel: 'debug' })
})

t.test('a configuration of a service does not start the demo', async (t) => {
  t.throws(() => readSettings({ NODE_ENV: 'production' }), /NODE_ENV is "production"/)
  t.throws(() => readSettings({ DATABASE_URL: 'postgres://a:secret@b/c' }), /DATABASE_URL is set/)
  const both = { NODE_ENV: 'production', DATABASE_URL: 'postgres://a:secret@b/c' }
  t.throws(() => readSettings(both), /NODE_ENV.*\n.*DATABASE_URL.*\n.*npm start/)
  try {
    readSettings(both)
  } catch (error) {
    t.notMatch((error as Error).message, 'secret')
  }
})

t.test('an invalid variable is named', async (t) => {
  t.throws(() => readSettings({ PORT: '70000' }), /PORT must be a whole number/)
  t.throws(() => readSettings({ LOG_LEVEL: 'loud' }), /LOG_LEVEL must be one of/)
})

t.test('other variables do not open the demo to the network', async (t) => {
  t.same(readSettings({ HOST: '0.0.0.0', PUBLIC_URL: 'https://example.org', JWT_SECRET: 'x' }).port, 3000)
  const places = { port: 4000, folder: '/tmp/a', publicUrl: 'http://127.0.0.1:4000', webdav: '127.0.0.1:4001' }
  const { host, port, dataDir, allowHosts } = createDemoConfig(places, 'warn')
  t.same({ host, port, dataDir }, { host: '127.0.0.1', port: 4000, dataDir: '/tmp/a' })
  t.same(allowHosts, { s3: [], webdav: ['127.0.0.1:4001'], nextcloud: [] })
})
