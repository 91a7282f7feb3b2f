import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import { provider } from '../../../src/providers/nextcloud/index.ts'
import { listingPager } from '../../../src/providers/shared/paging.ts'
import { backendContract } from '../../contract/backend.ts'
import { harness, openNextcloud } from '../../contract/harness/nextcloud.ts'
import { callOptions, find, rejectsWith } from '../../contract/suite/arrange.ts'
import { lists } from '../../contract/suite/lists.ts'
import { upload } from '../../contract/suite/uploads.ts'
import { respondsWith, faultScript, htmlPage, hrefs } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import {
  FAKE_APP_PASSWORD,
  FAKE_NEXTCLOUD_LOGIN,
  FAKE_NEXTCLOUD_UID,
  FakeNextcloud,
  type FakeNextcloudOptions
} from '../../fakes/nextcloud/fake-nextcloud.ts'
import { takeMistakes } from '../../support/dav/requests.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

const LOGIN = { username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }

t.test('the contract', async (t) => {
  backendContract(t, harness)
})

t.test('listings below a path, with the propstat 404 first', async (t) => {
  lists(t, async (t) => openNextcloud(t, await FakeNextcloud.start(t, { mountPath: '/cloud', notFoundFirst: true })))
})

async function start(t: Test, options: FakeNextcloudOptions = {}) {
  const fake = await FakeNextcloud.start(t, options)
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS, ...callOptions() }
  const { connect } = provider
  if (connect.type !== 'login-flow' || connect.complete === undefined) throw new Error('another way to connect')
  return { fake, context, connect, complete: connect.complete.bind(connect) }
}

t.test('the account is the user id of the server, and any copied URL of the server leads to it', async (t) => {
  const { fake, context, connect, complete } = await start(t, { mountPath: '/cloud' })
  for (const path of ['', '/', '/index.php/apps/files/?dir=/a', '/apps/files/files', '/remote.php/dav/files/alice/']) {
    const parsed = await complete(connect.parse({ baseUrl: fake.url + path, ...LOGIN }), context)
    t.equal(parsed.accountId, `${fake.url}/#${FAKE_NEXTCLOUD_UID}`, path)
    const backend = await provider.open({ ...context, credentials: parsed.credentials })
    t.equal(backend.capabilities.paging, 'emulated')
    t.match(await backend.account(callOptions()), {
      id: parsed.accountId,
      name: 'Alice Example',
      email: 'alice@example.com',
      quota: { used: 24, total: 1024 }
    })
  }
})

t.test('a server without Nextcloud, and a rejected password, are not connected', async (t) => {
  const { fake, context, connect, complete } = await start(t)
  const wrong = connect.parse({ baseUrl: fake.url, ...LOGIN, password: 'wrong' })
  t.match(await complete(wrong, context).catch((error: unknown) => error), {
    code: 'ACCESS_DENIED',
    credentialsRefused: true
  })
  t.equal(fake.failedLogins, 1, 'the password is sent once')
  const right = connect.parse({ baseUrl: fake.url, ...LOGIN })
  const user = (id: unknown) => respondsWith(200, { body: JSON.stringify({ ocs: { data: { id } } }) })
  for (const fault of [
    respondsWith(404),
    htmlPage(),
    user('../x'),
    user(5),
    respondsWith(200, { body: 'null' }),
    respondsWith(405)
  ]) {
    fake.dav.script = faultScript(fault, { matching: ({ path }) => path.startsWith('/ocs/') })
    await rejectsWith(t, complete(right, context), 'INVALID_ADDRESS')
  }
  fake.dav.script = faultScript(respondsWith(404), { matching: ({ path }) => path.includes(FAKE_NEXTCLOUD_UID) })
  await rejectsWith(t, complete(right, context), 'FOLDER_NOT_FOUND', 'no files endpoint')
})

t.test('an address without a Nextcloud has another error than a wrong password', async (t) => {
  const { fake, context, connect, complete } = await start(t, { mountPath: '/cloud' })
  const { origin } = new URL(fake.url)
  const right = (baseUrl: string) => connect.parse({ baseUrl, ...LOGIN })
  for (const path of ['', '/', '/clouds', '/cloud/cloud', '/nextcloud/index.php/login']) {
    const error: unknown = await complete(right(origin + path), context).catch((error: unknown) => error)
    t.match(error, { code: 'INVALID_ADDRESS', message: /^There is no Nextcloud at this address\./ }, path)
    await rejectsWith(t, connect.begin(origin + path, context), 'INVALID_ADDRESS', path)
  }
  takeMistakes(fake.dav)
  for (const fault of [
    respondsWith(404),
    respondsWith(405),
    respondsWith(400),
    respondsWith(403),
    htmlPage(),
    respondsWith(200, { body: 'OK' })
  ]) {
    fake.dav.script = faultScript(fault)
    await rejectsWith(t, complete(right(fake.url), context), 'INVALID_ADDRESS')
  }
  fake.dav.script = faultScript(respondsWith(302, { headers: { location: 'http://127.0.0.1:1/' } }))
  await rejectsWith(t, complete(right(fake.url), context), 'INVALID_ADDRESS', 'redirected to another host')
  fake.dav.script = faultScript(respondsWith(429))
  await rejectsWith(t, complete(right(fake.url), context), 'PROVIDER_THROTTLED')
  takeMistakes(fake.dav)
})

t.test('a server that refers to itself with another scheme has its own error', async (t) => {
  const { fake, context, connect, complete } = await start(t)
  const other = fake.url.replace('http:', 'https:')
  for (const place of [other, other.replace(/:\d+$/, ''), `${other}/index.php`]) {
    for (const field of ['pollEndpoint', 'login'] as const) {
      fake.flows.overrides[field] = place
      await rejectsWith(t, connect.begin(fake.url, context), 'SCHEME_MISMATCH', `${field} ${place}`)
      Reflect.deleteProperty(fake.flows.overrides, field)
    }
    const { pending } = await connect.begin(fake.url, context)
    fake.flows.overrides.server = place
    fake.grant(fake.flows.flows.at(-1)!)
    await rejectsWith(t, connect.poll(pending, context), 'SCHEME_MISMATCH', `server ${place}`)
    delete fake.flows.overrides.server
  }
  const { backend } = await openNextcloud(t, fake)
  for (const status of [301, 302, 307, 308]) {
    fake.dav.script = faultScript(respondsWith(status, { headers: { location: `${other}/elsewhere` } }))
    await rejectsWith(t, complete(connect.parse({ baseUrl: fake.url, ...LOGIN }), context), 'SCHEME_MISMATCH')
    await rejectsWith(t, connect.begin(fake.url, context), 'SCHEME_MISMATCH')
    await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 1 }), 'SCHEME_MISMATCH')
    await rejectsWith(t, backend.account(callOptions()), 'SCHEME_MISMATCH')
  }
})

t.test('permissions, shares and encryption determine the capabilities of an entry', async (t) => {
  const { backend, seed } = await openNextcloud(t, await permitted(t))
  await seed({ 'free/a': 'a', 'secret/b': 'b', read: 'x', none: 'x', old: 'x', viewed: 'x', viewed29: 'x', odd: 'x' })
  await seed({ 'closed/a': 'a', made: 'x', other: 'x' })
  t.equal((await find(backend, 'closed')).can.write, false, 'W of a folder means renaming it')
  t.equal((await find(backend, 'made')).can.write, false, 'C and K apply to the content of a folder')
  t.equal((await find(backend, 'other')).can.download, true, 'an attribute of another scope')
  t.same((await find(backend, 'free')).can, { list: true, download: false, write: true })
  t.same((await find(backend, 'secret')).can, { list: true, download: false, write: true })
  t.same((await find(backend, 'read')).can, { list: false, download: true, write: false })
  t.same((await find(backend, 'none')).can, { list: false, download: null, write: false })
  t.same((await find(backend, 'old')).can, { list: false, download: null, write: true }, 'ownCloud has no permission G')
  t.equal((await find(backend, 'viewed')).can.download, false)
  t.equal((await find(backend, 'viewed29')).can.download, false)
  t.equal((await find(backend, 'odd')).can.download, true)
  const { entries } = await backend.listFolder('secret/', { ...callOptions(), limit: 10 })
  t.same(
    entries.map(({ id, can }) => [id, can.download]),
    [['secret/b', false]],
    'a file in an encrypted folder'
  )
  t.equal(
    (await readBody((await backend.download('old', callOptions())).body)).toString(),
    'x',
    'the download is attempted'
  )
  const { webUrl } = await find(backend, 'read')
  t.match(webUrl, /^http:\/\/127\.0\.0\.1:\d+\/index\.php\/f\/\d+$/)
})

t.test('placeholder times are null', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  fake.tree.put('known', 'x', { modified: new Date('2026-11-30T11:52:00Z') })
  fake.tree.put('unknown', 'x', { modified: new Date(0) })
  t.match(await find(backend, 'known'), { createdAt: null, modifiedAt: '2026-11-30T11:52:00.000Z' })
  t.match(await find(backend, 'unknown'), { createdAt: null, modifiedAt: null })
  const { body, modifiedAt } = await backend.download('unknown', callOptions())
  t.equal(modifiedAt, null)
  body.destroy()
})

t.test('the hash is the strongest checksum that a client has uploaded', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  const [sha1, md5, sha256] = ['a'.repeat(40), 'B'.repeat(32), 'c'.repeat(64)]
  for (const [checksums, hash] of [
    [`SHA1:${sha1} MD5:${md5} ADLER32:12345678`, { algorithm: 'sha1', value: sha1 }],
    [`MD5:${md5}`, { algorithm: 'md5', value: md5.toLowerCase() }],
    [`MD5:${md5} SHA256:${sha256}`, { algorithm: 'sha256', value: sha256 }],
    [`SHA256:${sha256} SHA3-256:${'d'.repeat(64)}`, { algorithm: 'sha3-256', value: 'd'.repeat(64) }],
    ['ADLER32:12345678', null],
    ['SHA1:abc', null],
    ['', null],
    [`SHA1:${sha1} `.repeat(3000), null]
  ] as const) {
    fake.tree.put('f', 'x')
    fake.checksums.set('f', checksums)
    t.same((await find(backend, 'f')).hash, hash, checksums.slice(0, 60))
  }
})

t.test('a name is listed in NFC, whatever form it is given in', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  const [nfc, nfd] = ['Ä\u00e9 \uac00'.normalize('NFC'), 'Ä\u00e9 \uac00'.normalize('NFD')]
  t.not(nfc, nfd)
  const folder = await backend.createFolder?.(null, nfd, callOptions())
  t.equal(folder?.id, `${nfc}/`)
  const stored = await upload(backend, { parentId: `${nfd}/`, name: `${nfd}.txt` }, Readable.from(['x']))
  t.match(stored, { id: `${nfc}/${nfc}.txt`, name: `${nfc}.txt`, parentId: `${nfc}/`, path: `${nfc}/${nfc}.txt` })
  const listing = await backend.listFolder(`${nfd}/`, { ...callOptions(), limit: 10 })
  t.equal(listing.folder.id, `${nfc}/`)
  t.same(
    listing.entries.map(({ id }) => id),
    [stored.id]
  )
  t.equal((await backend.stat(`${nfd}/${nfd}.txt`, callOptions())).id, stored.id)
  t.equal((await upload(backend, { id: `${nfd}/${nfd}.txt` }, Readable.from(['yy']))).id, stored.id)
  t.equal((await readBody((await backend.download(`${nfd}/${nfd}.txt`, callOptions())).body)).toString(), 'yy')
  await rejectsWith(t, Promise.resolve(backend.createFolder?.(null, nfd, callOptions())), 'ALREADY_EXISTS')
  await backend.remove?.(`${nfd}/${nfd}.txt`, callOptions())
  t.same(fake.tree.list(), [`${nfc}/`])
  t.same(
    fake.dav.requests.filter(({ path }) => decodeURIComponent(path) !== decodeURIComponent(path).normalize('NFC')),
    [],
    'names are requested in NFC, because an external storage may not normalise them'
  )
})

t.test('each refusal has its own code, and none says that the server is unreachable', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  fake.tree.mkdir('a')
  fake.freeBytes = 10
  const [small, large] = [() => Readable.from(['x']), () => Readable.from(['x'.repeat(20)])]
  const name = (parentId: string | null, name: string) => ({ parentId, name })
  const cases: Record<string, [() => Promise<unknown> | undefined, StorageErrorCode, RegExp]> = {
    'a forbidden name': [() => upload(backend, name(null, '.htaccess'), small()), 'INVALID_REQUEST', /this name/],
    'of a folder': [() => backend.createFolder?.('a/', '.htaccess', callOptions()), 'INVALID_REQUEST', /this name/],
    'a missing parent': [() => upload(backend, name('b/', 'c'), small()), 'FOLDER_NOT_FOUND', /folder was not found/],
    'of a new folder': [
      () => backend.createFolder?.('b/', 'c', callOptions()),
      'FOLDER_NOT_FOUND',
      /folder was not found/
    ],
    'a quota': [() => upload(backend, name('a/', 'c'), large(), { size: 20 }), 'QUOTA_EXCEEDED', /storage space/],
    'of unknown length': [() => upload(backend, name('a/', 'c'), large()), 'QUOTA_EXCEEDED', /storage space/]
  }
  for (const [title, [work, code, message]] of Object.entries(cases)) {
    const error: unknown = await work()?.catch((error: unknown) => error)
    t.match(error, { code, message }, title)
  }
  fake.disabled = true
  for (const work of [
    () => backend.listFolder(null, { ...callOptions(), limit: 1 }),
    () => backend.stat('a/', callOptions()),
    () => upload(backend, name(null, 'c'), small()),
    () => backend.account(callOptions())
  ]) {
    const error: unknown = await work().catch((error: unknown) => error)
    t.match(error, { code: 'ACCOUNT_DISABLED', responded: true, credentialsRefused: false, message: /disabled/ })
  }
  const { complete, connect, context } = await start(t)
  await rejectsWith(t, complete(connect.parse({ baseUrl: fake.url, ...LOGIN }), context), 'ACCOUNT_DISABLED')
})

t.test('the body distinguishes a failure of the server from one of a proxy in front of it', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  // An existing file is replaced by a MOVE.
  fake.tree.put('a', 'old')
  const sabre = (exception: string, message = '') =>
    `<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">\n  <s:exception>${exception}` +
    `</s:exception>\n  <s:message>${message}</s:message></d:error>`
  const list = () => backend.listFolder(null, { ...callOptions(), limit: 1 })
  const put = (size?: number) =>
    upload(backend, { parentId: null, name: 'a' }, Readable.from(['x']), size === undefined ? {} : { size })
  const unavailable = 'Sabre\\DAV\\Exception\\ServiceUnavailable'
  for (const [status, body, work, code, responded] of [
    [500, sabre('Sabre\\DAV\\Exception\\Forbidden'), put, 'INVALID_REQUEST', true],
    [500, sabre('OCA\\DAV\\Connector\\Sabre\\Exception\\InvalidPath'), put, 'INVALID_REQUEST', true],
    [500, sabre('Sabre\\DAV\\Exception\\Forbidden'), list, 'ACCESS_DENIED', true],
    [500, sabre('TypeError'), put, 'PROVIDER_UNAVAILABLE', true],
    [500, '<html>', put, 'PROVIDER_UNAVAILABLE', true],
    [503, sabre(unavailable, 'OC\\User\\LoginException: Nutzer deaktiviert'), list, 'ACCOUNT_DISABLED', true],
    [503, sabre(unavailable, 'Failed to open file: the storage is away'), list, 'PROVIDER_UNAVAILABLE', true],
    [503, sabre(unavailable, 'System in maintenance mode.'), list, 'PROVIDER_THROTTLED', true],
    [503, '<html>LoginException</html>', list, 'PROVIDER_UNAVAILABLE', false],
    [502, sabre(unavailable), list, 'PROVIDER_UNAVAILABLE', false],
    [413, sabre('OCA\\DAV\\Connector\\Sabre\\Exception\\EntityTooLarge'), put, 'QUOTA_EXCEEDED', true],
    [413, sabre('OCA\\DAV\\Connector\\Sabre\\Exception\\EntityTooLarge'), () => put(1), 'PAYLOAD_TOO_LARGE', true],
    [413, '<html>413 Request Entity Too Large</html>', put, 'PAYLOAD_TOO_LARGE', true],
    [503, 'x'.repeat(100_000), list, 'PROVIDER_UNAVAILABLE', false],
    [503, '<s:exception>'.repeat(5000), list, 'PROVIDER_UNAVAILABLE', false]
  ] as const) {
    const refused = work === list ? 'PROPFIND' : work === put ? 'MOVE' : 'PUT'
    fake.dav.script = faultScript(respondsWith(status, { body }), { matching: ({ method }) => method === refused })
    const error: unknown = await work().catch((error: unknown) => error)
    t.match(error, { code, responded }, `${status} ${body.slice(0, 100)}`)
    if (responded) t.notMatch(error, { message: /reached/ })
    t.notMatch(inspect(error, { depth: 10 }), /Nutzer|storage is away/, 'the text is not repeated')
  }
})

async function permitted(t: Test): Promise<FakeNextcloud> {
  const fake = await FakeNextcloud.start(t)
  fake.permissions.set('read', 'G').set('none', '').set('old', 'RDNVW')
  fake.permissions.set('closed', 'GW').set('made', 'GCK')
  fake.encrypted.add('secret')
  const attribute = (more: object) => JSON.stringify([{ scope: 'permissions', key: 'download', ...more }])
  fake.shareAttributes.set('viewed', attribute({ value: false })).set('viewed29', attribute({ enabled: false }))
  fake.shareAttributes.set('other', JSON.stringify([{ scope: 'other', key: 'download', value: false }]))
  fake.shareAttributes.set('odd', `{"scope":"permissions"${'['.repeat(1000)}`)
  return fake
}

t.test('a folder of 20,000 entries needs one PROPFIND, and each entry is listed once, on any instance', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const base = `/remote.php/dav/files/${FAKE_NEXTCLOUD_UID}/`
  const names = Array.from({ length: 20_000 }, (_, index) => `file ${index}.txt`)
  const { backend } = await openNextcloud(t, fake)
  const instances = [backend, (await openNextcloud(t, fake)).backend]
  let listed = 0
  let order = names
  fake.dav.script = (request, response) => {
    if (request.method !== 'PROPFIND' || request.headers['depth'] !== '1') return false
    listed++
    hrefs([base, ...order.map((name) => base + encodeURIComponent(name))])(request, response)
    return true
  }
  const ids: string[] = []
  let cursor: string | undefined
  for (let count = 0; ; count++) {
    const page = await instances[count % 2]!.listFolder(null, {
      ...callOptions(),
      limit: 1000,
      ...(cursor !== undefined && { cursor })
    })
    ids.push(...page.entries.map(({ id }) => id))
    if (page.next === null) {
      t.equal(page.complete, true)
      break
    }
    t.ok(page.next.length < 40, 'a cursor is a hash and an offset')
    cursor = page.next
    order = order.toReversed()
  }
  t.equal(listed, 2, 'once per instance')
  t.same(ids.toSorted(), names.toSorted())
  order = [...names, 'new']
  const { backend: third } = await openNextcloud(t, fake)
  await rejectsWith(
    t,
    third.listFolder(null, { ...callOptions(), limit: 1000, cursor: cursor ?? '' }),
    'CURSOR_EXPIRED',
    'the folder has changed'
  )
})

t.test('maintenance mode has a Retry-After', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  fake.maintenance = true
  for (const work of [backend.account(callOptions()), backend.listFolder(null, { ...callOptions(), limit: 1 })]) {
    const error = await work.catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_THROTTLED', retryAfterMs: 120_000, message: /maintenance/ })
  }
})

t.test('a login flow returns, once, the fields that a user would enter', async (t) => {
  const { fake, context, connect, complete } = await start(t, { mountPath: '/cloud' })
  const { loginUrl, pending } = await connect.begin(`${fake.url}/index.php/apps/files/?dir=/`, context)
  t.match(loginUrl, `${fake.url}/index.php/login/v2/flow/`)
  t.notMatch(JSON.stringify({ pending }), fake.flows.flows[0]?.token ?? 'none')
  const sealed = new Secret(JSON.parse(JSON.stringify(pending.reveal())) as unknown)
  t.equal(await connect.poll(sealed, context), null)
  fake.grant(fake.flows.flows[0]!)
  const fields = await connect.poll(sealed, context)
  t.match(fields, { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN })
  t.match(await complete(connect.parse(fields ?? {}), context), { accountId: `${fake.url}/#${FAKE_NEXTCLOUD_UID}` })
  t.equal(await connect.poll(sealed, context), null, 'returned once')
})

t.test('a login flow that refers to another host is refused', async (t) => {
  const elsewhere = await FakeNextcloud.start(t)
  const { fake, context, connect } = await start(t)
  const { hostname } = new URL(fake.url)
  for (const place of [
    elsewhere.url,
    `http://${hostname}:1`,
    `http://u:p@${new URL(fake.url).host}`,
    'javascript:',
    '//x',
    ''
  ]) {
    for (const field of ['pollEndpoint', 'login'] as const) {
      fake.flows.overrides[field] = place
      await rejectsWith(t, connect.begin(fake.url, context), 'ENDPOINT_FORBIDDEN', `${field} ${place}`)
      Reflect.deleteProperty(fake.flows.overrides, field)
    }
    const { pending } = await connect.begin(fake.url, context)
    fake.flows.overrides.server = place
    fake.grant(fake.flows.flows.at(-1)!)
    await rejectsWith(t, connect.poll(pending, context), 'ENDPOINT_FORBIDDEN', `server ${place}`)
    delete fake.flows.overrides.server
  }
  t.equal(elsewhere.dav.connections, 0)
})

t.test('a login flow that cannot begin has an error with the reason', async (t) => {
  const { fake, context, connect } = await start(t)
  for (const [fault, code] of [
    [respondsWith(404), 'INVALID_ADDRESS'],
    [htmlPage(), 'INVALID_ADDRESS'],
    [respondsWith(200, { body: '{}' }), 'PROVIDER_ERROR'],
    [respondsWith(503, { retryAfter: 1 }), 'PROVIDER_THROTTLED'],
    [respondsWith(302, { headers: { location: 'http://127.0.0.1:1/' } }), 'PROVIDER_ERROR']
  ] as const) {
    fake.dav.script = faultScript(fault)
    await rejectsWith(t, connect.begin(fake.url, context), code)
  }
  await rejectsWith(t, connect.begin('nowhere', context), 'INVALID_CREDENTIALS')
  await rejectsWith(t, connect.begin('http://169.254.169.254/', context), 'ENDPOINT_FORBIDDEN')
  fake.dav.script = () => undefined
  const { pending } = await connect.begin(fake.url, context)
  fake.dav.script = faultScript(htmlPage())
  await rejectsWith(t, connect.poll(pending, context), 'PROVIDER_ERROR', 'a page instead of a JSON response')
})

t.test('the pages of a folder count towards the memory of its user', async (t) => {
  const { fake, context, connect, complete } = await start(t)
  for (const name of ['a', 'b', 'c']) fake.tree.put(name, name)
  const { credentials } = await complete(connect.parse({ baseUrl: fake.url, ...LOGIN }), context)
  const userId = randomUUID()
  const backend = await provider.open({ ...context, credentials, userId })
  await backend.listFolder(null, { ...callOptions(), limit: 1 })
  t.ok(listingPager.weightOf(userId) > 0)
})
