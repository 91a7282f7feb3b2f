import { readdir, readlink, stat } from 'node:fs/promises'
import contentDisposition from 'content-disposition'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { Entry, Listing } from '../../src/core/entry.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { googleDrive } from '../../src/providers/google-drive/index.ts'
import { respondsWith, faultScript } from '../fakes/faults.ts'
import { FakeDrive } from '../fakes/drive/fake-drive.ts'
import { DRIVE_SPREADSHEET } from '../fakes/drive/node.ts'
import { FAKE_BUCKET, FAKE_CREDENTIALS, FakeS3 } from '../fakes/s3/fake-s3.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { testApp } from '../support/app/app.ts'
import { startCloudApp, cloudRedirectUri } from '../support/app/cloud-app.ts'
import {
  readResponse,
  type ClientRequestOptions,
  Client,
  contentPath,
  davTransfers
} from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'
import { REST_CLOUDS, type RestCloud } from '../support/app/rest-clouds.ts'

/** Performs all operations, and checks the listings in between. */
async function walk(t: Test, app: FastifyInstance, provider: string): Promise<void> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const list = async (folder?: string) => {
    const query = folder === undefined ? '' : `?${new URLSearchParams({ folder }).toString()}`
    const answer = await client.get(`/cloud/${provider}/listing${query}`)
    t.equal(answer.status, 200, answer.text.slice(0, 200))
    const listing = answer.json() as Listing
    return { names: listing.entries.map(({ name }) => name), own: listing.folder.id, entries: listing.entries }
  }
  const put = (query: Record<string, string>, body: string, headers: ClientRequestOptions['headers'] = {}) =>
    client.send('PUT', contentPath(provider, query), { body, headers: { 'content-type': 'text/plain', ...headers } })
  const makeFolder = (body: object) =>
    client.send('POST', `/cloud/${provider}/folders`, {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' }
    })

  const root = await list()
  t.same(root.names, [])
  const rootNames = root.own === null ? [undefined] : [undefined, root.own]
  for (const name of rootNames) await list(name)
  const folder = (await makeFolder({ parentId: null, name: 'docs' })).json() as Entry
  for (const name of rootNames) t.same((await list(name)).names, ['docs'])
  t.same((await list(folder.id)).names, [])
  t.match((await makeFolder({ parentId: null, name: 'docs' })).json(), { status: 409 })

  const first = await put({ parent: folder.id, name: 'a.txt' }, 'first')
  t.equal(first.status, 201, first.text)
  t.same((await list(folder.id)).names, ['a.txt'])
  const again = await put({ parent: folder.id, name: 'a.txt' }, 'second')
  t.equal(again.status, 200, again.text)
  const { id, version } = again.json() as Entry
  t.match((await list(folder.id)).entries, [{ id, name: 'a.txt', size: 6, version }])
  t.equal((await put({ parent: folder.id, name: 'a.txt' }, 'x', { 'if-none-match': '*' })).status, 412)

  const third = await put({ id }, 'third one', { 'if-match': `"${version}"` })
  t.equal(third.status, 200, third.text)
  t.match((await list(folder.id)).entries, [{ id, size: 9 }])
  t.equal((await put({ id }, 'x', { 'if-match': `"${version}"` })).status, 412)
  t.equal((await put({ id }, 'and once more')).status, 200)
  t.match((await list(folder.id)).entries, [{ id, size: 13 }])

  const whole = await client.get(contentPath(provider, { id }))
  t.match(whole, { status: 200, text: 'and once more' })
  t.match(whole.headers, { 'content-disposition': 'attachment; filename="a.txt"', 'content-length': '13' })
  t.match(await client.get(contentPath(provider, { id }), { range: 'bytes=4-7' }), { status: 206, text: 'once' })
  t.match(await client.get(contentPath(provider, { id }), { range: 'bytes=13-' }), { status: 416 })
  const { etag = '' } = whole.headers
  t.equal((await client.get(contentPath(provider, { id }), { 'if-none-match': etag })).status, 304)
  t.equal(
    (await put({ id }, 'by its ETag', { 'if-match': etag })).status,
    200,
    'the ETag of a download is accepted in If-Match'
  )

  for (const [index, parent] of rootNames.entries()) {
    const made = await put({ ...(parent !== undefined && { parent }), name: `top${index}.txt` }, 'top')
    t.equal(made.status, 201, made.text)
    for (const name of rootNames) t.ok((await list(name)).names.includes(`top${index}.txt`))
    t.equal((await client.send('DELETE', contentPath(provider, { id: (made.json() as Entry).id }))).status, 204)
    for (const name of rootNames) t.same((await list(name)).names, ['docs'])
  }
  t.equal(
    (await client.send('DELETE', contentPath(provider, { id: folder.id }))).status,
    400,
    'a folder is not deleted'
  )
  t.equal((await client.send('DELETE', contentPath(provider, { id }))).status, 204)
  t.same((await list(folder.id)).names, [])
  t.equal((await client.send('DELETE', contentPath(provider, { id }))).status, 204)
  t.equal((await client.get(contentPath(provider, { id }))).status, 404)
}

/** An app with transfers, in which the users have connected the cloud. */
async function connected(
  t: Test,
  { id: cloudId, rules, scopes, start }: RestCloud,
  spool: CloudStorageOptions['spool'] = {},
  users: readonly string[] = ['ann']
): Promise<FastifyInstance> {
  const scoped = scopes !== undefined && { scopes }
  const oauth = await FakeOAuth.start(t, { redirectUris: [cloudRedirectUri(cloudId)], ...scoped, ...rules })
  const cloud = await start(t, oauth)
  const { app, connect } = await startCloudApp(t, {
    provider: cloud.provider,
    registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET, ...scoped },
    origins: cloud.origins,
    consent: (url) => oauth.consent(url),
    transfers: true,
    spool
  })
  for (const user of users) await connect(user)
  return app
}

for (const cloud of REST_CLOUDS) {
  t.test(`changes of content at ${cloud.id} appear in the next listing`, async (t) => {
    await walk(t, await connected(t, cloud), cloud.id)
  })
}

/** Returns the size of the temporary upload files that this process has open. */
async function spooledBytes(): Promise<number> {
  const paths = (await readdir('/proc/self/fd')).map((fd) => `/proc/self/fd/${fd}`)
  const sizes = paths.map(async (path) =>
    (await readlink(path)).includes('fastify-cloud-storage-upload-') ? (await stat(path)).size : 0
  )
  // A descriptor may be closed meanwhile.
  return (await Promise.all(sizes.map((size) => size.catch(() => 0)))).reduce((sum, size) => sum + size, 0)
}

for (const cloud of REST_CLOUDS.filter(({ id }) => id === 'onedrive' || id === 'box')) {
  t.test(`uploads of unknown size to ${cloud.id} are limited by the option spool`, async (t) => {
    const MIB = 1024 * 1024
    const app = await connected(t, cloud, { maxBytes: 6 * MIB, maxBytesPerUser: 8 * MIB })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = new Client(app)
    const chunked = { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' }
    const begin = (name: string) => client.startRequest('PUT', contentPath(cloud.id, { name }), { headers: chunked })
    const put = async (name: string, bytes: number) => {
      const request = begin(name)
      const answered = readResponse(request)
      request.end(Buffer.alloc(bytes))
      return answered
    }
    t.match((await put('large', 6 * MIB + 1)).json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
    const sized = { headers: { 'content-type': 'text/plain' }, body: Buffer.alloc(6 * MIB + 1) }
    const known = await client.send('PUT', contentPath(cloud.id, { name: 'known' }), sized)
    t.equal(known.status, 201, 'an upload of known size needs no temporary file')
    if (process.platform !== 'linux') return

    const first = begin('first')
    const answered = readResponse(first)
    first.write(Buffer.alloc(5 * MIB))
    await until(async () => (await spooledBytes()) === 5 * MIB)
    const second = await put('second', 5 * MIB)
    t.match(second.json(), { status: 429, code: 'TOO_MANY_REQUESTS' })
    t.match(second.headers, { 'retry-after': /^\d+$/ })
    first.end()
    t.equal((await answered).status, 201)
    await until(async () => (await spooledBytes()) === 0)
    t.equal((await put('second', 5 * MIB)).status, 201, 'the space is released')
    const listing = (await client.get(`/cloud/${cloud.id}/listing`)).json() as Listing
    t.same(listing.entries.map(({ name }) => name).sort(), ['first', 'known', 'second'])
  })
}

for (const cloud of REST_CLOUDS.filter(({ id }) => id === 'onedrive' || id === 'box')) {
  t.test(`uploads of unknown size to ${cloud.id} that exceed all space of the server answer 507`, async (t) => {
    const MIB = 1024 * 1024
    const spool = { maxBytes: 6 * MIB, maxBytesPerUser: 6 * MIB, maxTotalBytes: 8 * MIB }
    const app = await connected(t, cloud, spool, ['ann', 'bob'])
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = new Client(app)
    const headers = { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' }
    const begin = (user: string) => {
      const request = client.startRequest('PUT', contentPath(cloud.id, { name: user }), { user, headers })
      return { request, answered: readResponse(request) }
    }
    if (process.platform !== 'linux') return
    const first = begin('ann')
    first.request.write(Buffer.alloc(5 * MIB))
    await until(async () => (await spooledBytes()) === 5 * MIB)
    const second = begin('bob')
    second.request.end(Buffer.alloc(5 * MIB))
    const refused = await second.answered
    t.match(refused.json(), { status: 507, code: 'INSUFFICIENT_STORAGE' })
    t.notMatch(refused.text, /maxTotalBytes|\/tmp/, 'the remedy for the operator appears only in the log')
    first.request.end()
    t.equal((await first.answered).status, 201)
    await until(async () => (await spooledBytes()) === 0)
    const again = begin('bob')
    again.request.end(Buffer.alloc(5 * MIB))
    t.equal((await again.answered).status, 201, 'the space is released')
  })
}

async function driveApp(t: Test) {
  const scopes = ['https://www.googleapis.com/auth/drive']
  const oauth = await FakeOAuth.start(t, {
    redirectUris: [cloudRedirectUri('google_drive')],
    scopes,
    rotation: 'keep',
    needsOfflineAccess: true,
    revocation: 'anonymous'
  })
  const drive = await FakeDrive.start(t, { authorize: (bearer) => oauth.check(bearer) })
  const { app, connect } = await startCloudApp(t, {
    provider: googleDrive({ api: drive.url, server: oauth.server }),
    registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET, scopes },
    origins: [drive.url, oauth.url],
    consent: (url) => oauth.consent(url),
    transfers: true
  })
  await connect()
  return { app, drive }
}

t.test('changes of content at google_drive appear in the next listing', async (t) => {
  const { app } = await driveApp(t)
  await walk(t, app, 'google_drive')
})

t.test('a native document of google_drive is saved with the name and the type of its export', async (t) => {
  const { app, drive } = await driveApp(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const [sheet, pdf] = ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 'application/pdf']
  const exports = { [sheet]: 'PK', [pdf]: '%PDF' }
  const cases: [name: string, exportAs: string | undefined, saved: string][] = [
    ['Budget', undefined, 'Budget.xlsx'],
    ['Budget', pdf, 'Budget.pdf'],
    ['Budget.xlsx', undefined, 'Budget.xlsx'],
    ['BUDGET.XLSX', sheet, 'BUDGET.XLSX'],
    ['Budget.xlsx', pdf, 'Budget.xlsx.pdf'],
    ['notes.v2', undefined, 'notes.v2.xlsx'],
    ['Budget.xlsx\u200e', undefined, 'Budget.xlsx'],
    ['Übersicht', undefined, 'Übersicht.xlsx'],
    ['.xlsx', undefined, '.xlsx']
  ]
  for (const [name, exportAs, saved] of cases) {
    const { id } = drive.tree.addDocument({ name, mimeType: DRIVE_SPREADSHEET, exports })
    const path = contentPath('google_drive', { id, ...(exportAs !== undefined && { exportAs }) })
    for (const [method, headers] of [['HEAD'], ['GET'], ['GET', { range: 'bytes=1-' }]] as const) {
      const answer = await client.send(method, path, { ...(headers && { headers }) })
      t.equal(answer.status, 200, name)
      t.match(answer.headers, { 'content-type': exportAs ?? sheet, 'accept-ranges': 'none' }, name)
      const { parameters } = contentDisposition.parse(String(answer.headers['content-disposition']))
      t.equal(parameters['filename'], saved)
      if (method === 'GET') t.equal(answer.text, exportAs === pdf ? '%PDF' : 'PK')
    }
    drive.tree.remove(drive.tree.find(id)!)
  }
})

t.test('changes of content at s3 appear in the next listing', async (t) => {
  const s3 = await FakeS3.start(t)
  const allowHosts = [new URL(s3.endpoint).host]
  const { app, as } = await testApp(t, { transfers: true, providers: { s3: { allowHosts } } })
  const fields = { endpoint: s3.endpoint, bucket: FAKE_BUCKET, ...FAKE_CREDENTIALS }
  const made = await as('ann').send('POST', '/cloud/connections/s3', fields)
  t.equal(made.statusCode, 201, made.body)
  await walk(t, app, 's3')
})

t.test('a provider without free space answers 507 for every way of writing', async (t) => {
  const isFull = (code: string) => ({ status: 507, code: 'QUOTA_EXCEEDED', detail: code })
  const detail = 'No storage space is left at the provider.'
  const folder = JSON.stringify({ parentId: null, name: 'folder' })
  const json = { 'content-type': 'application/json' }
  const text = { 'content-type': 'text/plain' }

  const { app: driveOnly, drive } = await driveApp(t)
  await driveOnly.listen({ host: '127.0.0.1', port: 0 })
  const atDrive = new Client(driveOnly)
  const full = { reason: 'storageQuotaExceeded', status: 403 }
  drive.failNext(1, full, { method: 'POST' })
  const path = contentPath('google_drive', { name: 'a' })
  t.match((await atDrive.send('PUT', path, { body: 'x', headers: text })).json(), isFull(detail))
  drive.failNext(1, full, { method: 'POST' })
  const makeFolder = await atDrive.send('POST', '/cloud/google_drive/folders', { body: folder, headers: json })
  t.match(makeFolder.json(), isFull(detail))

  const { fake, put, makeFolder: makeDavFolder } = await davTransfers(t)
  fake.script = faultScript(respondsWith(507), { matching: ({ method }) => method === 'PUT' || method === 'MKCOL' })
  t.match((await put({ name: 'a' }, { body: 'x' })).json(), isFull(detail))
  t.match((await put({ name: 'a' }, { body: Buffer.alloc(1_000_000) })).json(), isFull(detail))
  t.match((await makeDavFolder({ parentId: null, name: 'folder' })).json(), isFull(detail))
  t.same(fake.tree.list(), [])
})
