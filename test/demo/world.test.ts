import { existsSync } from 'node:fs'
import t from 'tap'
import { LONG_FOLDER, SLASH_NAME } from '../../demo/content/drive.ts'
import { NATIVE_EXPORTS } from '../../demo/content/drive-documents.ts'
import { HARD_NAMES } from '../../demo/content/names.ts'
import { DEEP_LEVELS, DOWNLOADS } from '../../demo/content/samples.ts'
import { startDemoWorld } from '../../demo/world.ts'
import { ManualClock } from '../support/time/clock.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import { until } from '../support/time/until.ts'

/** Shared by all tests, which depend on each other, because starting it takes seconds. */
const clock = new ManualClock()
const world = await startDemoWorld({ clock })
t.teardown(() => world.close())
const user = new DemoUser(world)
const DRIVE = 'google_drive'
const WEBDAV = 'webdav'

t.test('only the S3-compatible store is connected', async (t) => {
  t.match(await user.connections(), [{ provider: 's3', label: 'Sample objects', status: 'ACTIVE' }])
  t.equal((await user.connections()).length, 1)
  const names = (await user.listAll('s3')).map(({ name }) => name)
  t.same(names, ['Elsewhere', 'Handbook', 'Invoices', 'Receipts', 'Welcome.txt'])
  const welcome = await user.content('s3', 'Welcome.txt')
  t.match(await welcome.text(), /^This bucket is in the memory of the demo/)
})

t.test('Google Drive is connected with the consent page of an independent emulator', async (t) => {
  const { status, headers } = await user.connectGoogle(world)
  t.equal(status, 303)
  t.equal(headers.get('location'), `${world.url}/`)
  const [connection] = (await user.connections()).filter(({ provider }) => provider === DRIVE)
  t.strictSame(connection?.label, world.google.account.email)
  t.equal(connection?.status, 'ACTIVE')
  const root = await user.listAll(DRIVE)
  t.same(
    root.map(({ name, kind }) => `${name} (${kind})`),
    [
      'Archive (drive)',
      ...['Deep', 'Documents', 'Downloads', 'Empty', 'Five thousand', 'Names', 'Office', 'Shortcuts'].map(
        (name) => `${name} (folder)`
      ),
      'Team (drive)',
      'Welcome.txt (file)'
    ]
  )
})

t.test('the folder of 5,000 entries is paged to its end, and each name is listed once', async (t) => {
  const entries = await user.listAll(DRIVE, { folder: LONG_FOLDER.id, limit: '200' })
  t.equal(entries.length, LONG_FOLDER.entries)
  t.equal(new Set(entries.map(({ name }) => name)).size, 5000)
  t.equal(entries[0]?.name, 'Scan 0001.txt')
  t.equal(entries.at(-1)?.name, 'Scan 5000.txt')
  const last = await user.content(DRIVE, entries.at(-1)?.id ?? '')
  t.equal(await last.text(), 'This is scan 5000 of 5000.\n')
})

t.test('WebDAV is connected with the printed password only', async (t) => {
  const refused = await user.connect(WEBDAV, { ...world.webdav, password: 'guessed' })
  t.equal(refused.status, 400)
  t.match(await refused.json(), { code: 'INVALID_CREDENTIALS' })
  t.equal((await user.connect(WEBDAV, world.webdav)).status, 201)
  const names = (await user.listAll(WEBDAV)).map(({ name }) => name)
  t.same(names.sort(), ['Deep', 'Downloads', 'Empty', 'Names', 'Office', 'Welcome.txt'])
})

t.test('WebDAV connections on this machine are allowed to the demo’s server only', async (t) => {
  for (const baseUrl of [`${world.url}/`, world.controlsUrl, world.google.drive.url]) {
    const answer = await user.connect(WEBDAV, { ...world.webdav, baseUrl })
    t.equal(answer.status, 403, baseUrl)
    t.match(await answer.json(), { code: 'ENDPOINT_FORBIDDEN' })
  }
})

for (const provider of [DRIVE, WEBDAV]) {
  t.test(`${provider}: downloads have unchanged content, as a whole and in ranges`, async (t) => {
    const folder = await user.find(provider, 'Downloads')
    const entries = await user.listAll(provider, { folder: folder.id })
    t.same(entries.map(({ name }) => name).sort(), Object.keys(DOWNLOADS).sort())
    for (const { id, name } of entries) {
      const expected = DOWNLOADS[name]!
      const answer = await user.content(provider, id)
      t.equal(answer.status, 200)
      t.ok(answer.headers.get('content-type')?.startsWith(expected.mimeType), name)
      t.ok(Buffer.from(await answer.arrayBuffer()).equals(expected.content), name)
      const search = new URLSearchParams({ id }).toString()
      const part = await user.request(`/cloud/${provider}/content?${search}`, { headers: { range: 'bytes=5-24' } })
      t.equal(part.status, 206)
      t.ok(Buffer.from(await part.arrayBuffer()).equals(expected.content.subarray(5, 25)), name)
    }
  })

  t.test(`${provider}: difficult names are listed unchanged`, async (t) => {
    const folder = await user.find(provider, 'Names')
    const entries = await user.listAll(provider, { folder: folder.id })
    const expected = [...HARD_NAMES, 'תיקייה 📁', ...(provider === DRIVE ? [SLASH_NAME] : [])]
    t.same(entries.map(({ name }) => name).sort(), expected.sort())
    for (const { id, name, kind } of entries.filter(({ name }) => name !== SLASH_NAME)) {
      if (kind === 'file') t.equal(await (await user.content(provider, id)).text(), `${name}\n`)
    }
  })

  t.test(`${provider}: the deep folder has a file at the bottom, and the empty folder is empty`, async (t) => {
    const levels = Array.from({ length: DEEP_LEVELS }, (_, at) => `Level ${at + 1}`)
    const treasure = await user.find(provider, 'Deep', ...levels, 'Treasure.txt')
    t.equal(await (await user.content(provider, treasure.id)).text(), 'This is the bottom.\n')
    const empty = await user.find(provider, 'Empty')
    t.same(await user.listAll(provider, { folder: empty.id }), [])
  })

  t.test(`${provider}: uploads of a user are listed afterwards`, async (t) => {
    const folder = await user.find(provider, 'Empty')
    const stored = await user.request(
      `/cloud/${provider}/content?${new URLSearchParams({ parent: folder.id, name: 'mine.txt' }).toString()}`,
      { method: 'PUT', headers: { 'content-type': 'text/plain', 'if-none-match': '*' }, body: 'Mine.' }
    )
    t.equal(stored.status, 201, await stored.text())
    const mine = await user.find(provider, 'Empty', 'mine.txt')
    t.equal(await (await user.content(provider, mine.id)).text(), 'Mine.')
  })
}

t.test('Google documents are exported, with the best format first', async (t) => {
  const documents = await user.find(DRIVE, 'Documents')
  const entries = await user.listAll(DRIVE, { folder: documents.id })
  t.same(
    entries.map(({ name, kind }) => `${name} (${kind})`),
    ['Budget (file)', 'Minutes of the meeting (file)', 'Pitch (file)', 'Survey (link)']
  )
  const exported = Object.values(NATIVE_EXPORTS)
  for (const { id, name, exportFormats } of entries.filter(({ kind }) => kind === 'file')) {
    const formats = exported.find((each) => Object.hasOwn(each, exportFormats[0]?.mimeType ?? ''))!
    const best = await user.content(DRIVE, id)
    t.equal(best.headers.get('content-type'), exportFormats[0]?.mimeType, name)
    t.ok(Buffer.from(await best.arrayBuffer()).equals(formats[exportFormats[0]!.mimeType]!), name)
    const pdf = await user.content(DRIVE, id, { exportAs: 'application/pdf' })
    t.ok(Buffer.from(await pdf.arrayBuffer()).equals(formats['application/pdf']!), `${name} as PDF`)
  }
})

t.test('shortcuts lead to files and folders, or are dangling', async (t) => {
  const folder = await user.find(DRIVE, 'Shortcuts')
  const entries = await user.listAll(DRIVE, { folder: folder.id })
  t.same(
    entries.map(({ name, target }) => [name, target?.kind, target?.state]),
    [
      ['To Budget', 'file', 'ok'],
      ['To something that is gone', 'folder', 'dangling'],
      ['To the folder Deep', 'folder', 'ok'],
      ['To Welcome.txt', 'file', 'ok']
    ]
  )
})

t.test('shared drives can be browsed like folders', async (t) => {
  const plan = await user.find(DRIVE, 'Team', 'Plans', 'Plan 30.txt')
  t.equal(await (await user.content(DRIVE, plan.id)).text(), 'Plan 30.txt of Team\n')
})

t.test('changes of a colleague appear in listings without refresh, although the listings are cached', async (t) => {
  const names = async () => (await user.listAll(DRIVE)).map(({ name }) => name)
  const before = await names()
  for (const action of ['add-file', 'remove-file']) {
    const pressed = await fetch(new URL(action, world.controlsUrl), {
      method: 'POST',
      headers: { origin: new URL(world.controlsUrl).origin },
      redirect: 'manual'
    })
    t.equal(pressed.status, 303)
    const expected = action === 'add-file' ? [...before, 'Agenda for Monday.txt'] : before
    await until(async () => (await names()).length === expected.length)
    t.same((await names()).sort(), expected.sort())
  }
  t.equal(world.google.colleague.changeCount, 2)
})

t.test('revoked access requires reauthentication, and a new consent restores it', async (t) => {
  t.equal(await world.google.faults.grants(), 1)
  await world.google.faults.revokeAccess()
  t.equal(await world.google.faults.grants(), 0)
  const ended = await user.list(DRIVE, { refresh: 'true' })
  t.equal(ended.status, 503)
  t.match(await ended.json(), { code: 'CONNECTION_INACTIVE' })
  const ofDrive = async () => (await user.connections()).filter(({ provider }) => provider === DRIVE)
  t.match(await ofDrive(), [{ status: 'REQUIRES_REAUTH' }])
  t.equal((await user.list('s3', { refresh: 'true' })).status, 200, 'other connections still work')

  t.equal((await user.connectGoogle(world)).status, 303)
  t.match(await ofDrive(), [{ status: 'ACTIVE' }])
  t.equal((await ofDrive()).length, 1)
  t.equal((await user.list(DRIVE, { refresh: 'true' })).status, 200)
  t.equal(await world.google.faults.grants(), 1)
})

t.test('requests to a slow Google succeed', async (t) => {
  const { faults: moods, drive } = world.google
  t.equal(moods.slowForMs, 0)
  moods.slowDown()
  t.equal(moods.slowForMs, 20_000)
  const path = '/drive/v3/about'
  const request = drive.requests.find((each) => each.path === path)!
  t.equal(drive.delayMs(request), 3000)
  clock.tick(20_000)
  t.equal(drive.delayMs(request), 0)
})

// Must be last: the server does not call Google from now on.
t.test('throttling by Google is passed on with its Retry-After for 20 seconds', async (t) => {
  const { faults: moods, tokens, drive } = world.google
  moods.throttle()
  const refused = await user.list(DRIVE, { refresh: 'true' })
  t.equal(refused.status, 503)
  t.match(await refused.json(), { code: 'PROVIDER_THROTTLED' })
  t.ok(['19', '20'].includes(refused.headers.get('retry-after') ?? ''), refused.headers.get('retry-after') ?? 'none')

  const authorization = `Bearer ${tokens.grants.at(-1)?.accessTokens.at(-1) ?? ''}`
  const about = async () =>
    (await fetch(`${drive.url}/drive/v3/about?fields=user`, { headers: { authorization } })).status
  t.equal(await about(), 429)
  clock.tick(19_999)
  t.equal(await about(), 429)
  clock.tick(1)
  t.equal(await about(), 200)
  moods.throttle()
  moods.reset()
  t.equal(await about(), 200)
})

t.test('a closed world leaves no files on disk', async (t) => {
  t.ok(existsSync(world.folder))
  await world.close()
  t.notOk(existsSync(world.folder))
  await t.rejects(fetch(world.url))
  await t.rejects(fetch(world.controlsUrl))
  await t.rejects(fetch(world.google.emulated.url))
})
