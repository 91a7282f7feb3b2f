import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import t, { type Test } from 'tap'
import { GOOGLE_ACCOUNT, startGoogle } from '../../demo/clouds/google.ts'
import { MAX_COLLEAGUE_FILES } from '../../demo/clouds/google-colleague.ts'
import { COLLEAGUE_TITLES } from '../../demo/content/names.ts'
import { startControls } from '../../demo/controls/server.ts'
import type { FakeDrive } from '../fakes/drive/fake-drive.ts'
import { USER_LOG } from '../fakes/drive/journal.ts'
import { GOOGLE_CLIENT } from '../fakes/google/emulate-seed.ts'
import { readForms } from '../fakes/google/emulate-page.ts'
import { ManualClock } from '../support/time/clock.ts'
import { createDemoConfig, readSettings } from '../../demo/settings.ts'

const SERVER = 'http://127.0.0.1:3000'
const VERIFIER = 'a-verifier-of-43-characters-and-more-0000000'

async function controls(t: Test) {
  const clock = new ManualClock()
  const google = await startGoogle(t, { redirectUri: `${SERVER}/callback`, clock })
  const url = await startControls(t, { google, serverUrl: SERVER })
  const { origin, host } = new URL(url)
  /** Sends the form of this page, like a browser. */
  const press = (action: string, headers: Record<string, string> = { origin }) =>
    fetch(new URL(action, url), { method: 'POST', headers, redirect: 'manual' })
  return { ...google, clock, url, host, press, read: async () => (await fetch(url)).text() }
}

t.test('each button has its effect, which the page shows', async (t) => {
  const { faults: moods, drive, clock, url, read, press } = await controls(t)
  const html = await read()
  t.match(html, 'no application has access, not throttling, not slow')
  const actions = readForms(html).map(({ action }) => action)
  const changes = ['/add-file', '/rename-file', '/remove-file']
  t.same(actions, [...changes, '/take-access-away', '/throttle', '/slow-down', '/report-late', '/calm-down'])

  t.match(await press('/throttle'), { status: 303 })
  t.equal(moods.throttledForMs, 20_000)
  clock.tick(500)
  t.match(await press('/slow-down'), { status: 303 })
  t.match(await read(), 'throttling for 20 s more, slow for 20 s more')
  t.equal((await fetch(url)).headers.get('refresh'), '1', 'while a fault is active')
  clock.tick(19_500)
  t.match(await read(), 'not throttling, slow for 1 s more')
  t.equal(drive.knobs.changeLagMs, 1000)
  t.match(await press('/report-late'), { status: 303 })
  t.equal(drive.knobs.changeLagMs, 10_000)
  t.match(await read(), 'slow for 1 s more, changes are reported after 10 s.')
  t.match(await press('/calm-down'), { status: 303 })
  t.match(await read(), 'not throttling, not slow.')
  t.equal(drive.knobs.changeLagMs, 1000)
  t.equal((await fetch(url)).headers.get('refresh'), null)
})

/** Returns the names of the files in My Drive, except for the demo's own. */
function colleagueFiles({ tree }: FakeDrive): string[] {
  return tree
    .children()
    .filter(({ content, name }) => content !== undefined && name !== 'Welcome.txt')
    .map(({ name }) => name)
}

t.test('buttons add, rename and remove a file in My Drive, without a request to Drive', async (t) => {
  const { drive, read, press } = await controls(t)
  const before = await read()
  t.match(before, 'No changes so far.')
  t.equal(before.match(/<button disabled>/g)?.length, 2, 'there is no file to rename or remove')
  for (const action of ['/rename-file', '/remove-file']) t.match(await press(action), { status: 303 })
  t.match(await read(), 'No changes so far.')

  drive.knobs.changeLagMs = 0
  const position = String(drive.journal.endOf(USER_LOG))
  drive.knobs.changeLagMs = 60_000
  t.match(await press('/add-file'), { status: 303 })
  t.same(colleagueFiles(drive), ['Agenda for Monday.txt'])
  t.match(await read(), '1 change so far, 1 file; the latest is “Agenda for Monday.txt”.')
  t.notMatch(await read(), '<button disabled>')
  await press('/rename-file')
  await press('/rename-file')
  t.same(colleagueFiles(drive), ['Agenda for Monday v3.txt'])
  await press('/add-file')
  await press('/remove-file')
  t.same(colleagueFiles(drive), ['Agenda for Monday v3.txt'], 'the latest is removed')
  t.match(await read(), '5 changes so far, 1 file; the latest is “Agenda for Monday v3.txt”.')
  t.same(drive.requests, [])
  t.same(drive.journal.eventsFrom(USER_LOG, position), [], 'the log shows changes late')
  drive.knobs.changeLagMs = 0
  t.match(drive.journal.eventsFrom(USER_LOG, position), [{ isRemoved: false }, { isRemoved: true }])
})

t.test('the colleague has at most 20 files, all with different names', async (t) => {
  const { drive, colleague, read, press } = await controls(t)
  for (let count = 0; count < 60; count++) {
    await press('/add-file')
    if (count % 3 === 0) await press('/rename-file')
    const names = colleagueFiles(drive)
    t.equal(new Set(names).size, names.length)
    t.ok(names.length <= MAX_COLLEAGUE_FILES)
  }
  t.equal(colleagueFiles(drive).length, MAX_COLLEAGUE_FILES)
  t.same(colleagueFiles(drive), colleague.fileNames, 'the oldest were replaced')
  t.match(await read(), '120 changes so far, 20 files')
})

t.test('files of users keep their names, and files that users have trashed are not counted', async (t) => {
  const { drive, colleague } = await controls(t)
  drive.tree.addFile({ name: 'Agenda for Monday.txt' })
  colleague.addFile()
  t.same(colleague.fileNames, ['Agenda for Monday v2.txt'])
  const [, theirs] = drive.tree.children().filter(({ name }) => name.startsWith('Agenda'))
  drive.tree.trash(theirs ?? '')
  t.same(colleague.fileNames, [])
  colleague.removeFile()
  t.equal(colleague.changeCount, 1)
})

t.test('a title that is used again is that of a new version', async (t) => {
  const { colleague } = await controls(t)
  colleague.addFile()
  for (let count = 1; count < COLLEAGUE_TITLES.length; count++) {
    colleague.addFile()
    colleague.removeFile()
  }
  colleague.addFile()
  t.same(colleague.fileNames, ['Agenda for Monday.txt', 'Agenda for Monday v2.txt'])
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
  const { faults: moods, colleague, press } = await controls(t)
  for (const action of ['/throttle', '/add-file']) {
    t.equal((await press(action, {})).status, 403)
    for (const origin of ['null', SERVER, 'http://localhost:1', 'https://evil.example']) {
      t.equal((await press(action, { origin })).status, 403, `${action} ${origin}`)
    }
  }
  t.equal(moods.throttledForMs, 0)
  t.equal(colleague.changeCount, 0)
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
  const { faults: moods, colleague, url, press } = await controls(t)
  for (const action of ['throttle', 'add-file']) t.equal((await fetch(new URL(action, url))).status, 405, action)
  t.equal(colleague.changeCount, 0)
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
  const { host, port, dataDir, allowHosts, cache } = createDemoConfig(places, 'warn')
  t.same({ host, port, dataDir }, { host: '127.0.0.1', port: 4000, dataDir: '/tmp/a' })
  t.same(allowHosts, { s3: [], webdav: ['127.0.0.1:4001'], nextcloud: [] })
  t.same(cache, { check: { afterMs: 2000 } }, 'changes are visible while the user still looks at the folder')
})
