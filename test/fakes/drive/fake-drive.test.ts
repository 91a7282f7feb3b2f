import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { drive } from 'googleapis/build/src/apis/drive/index.js'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import t, { type Test } from 'tap'
import { sendRequest, takeMistakes, type RequestOptions } from '../../support/dav/requests.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { respondsWith, hangs, htmlPage, redirects, resets } from '../faults.ts'
import { DRIVE_FOLDER, DRIVE_VIDEO } from './node.ts'
import { DRIVE_FILE_SCOPE, DRIVE_SCOPE } from './view.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive, type FakeDriveOptions } from './fake-drive.ts'
import { until } from '../../support/time/until.ts'

const CHUNK_UNIT = 256 * 1024
const PDF = 'application/pdf'
const IN_ROOT = "'root' in parents and trashed = false"
const ORDER_BY = 'folder,name_natural'
const ALL_DRIVES = { supportsAllDrives: true, includeItemsFromAllDrives: true }

interface DriveErrorBody {
  readonly message: string
  readonly errors: readonly { readonly reason: string; readonly location?: string }[]
  readonly details?: readonly { readonly reason: string }[]
}

type Json = drive_v3.Schema$FileList & drive_v3.Schema$File & drive_v3.Schema$GeneratedIds & { error?: DriveErrorBody }

/** The official client, configured for the fake as far as it allows. */
async function startWithClient(t: Test, options?: FakeDriveOptions) {
  const fake = await FakeDrive.start(t, options)
  const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }
  const rootUrl = `${fake.url}/`
  const { files, drives, about, operations } = drive({
    version: 'v3',
    rootUrl,
    headers,
    retry: false,
    fetchImplementation: fetch
  })
  return { fake, files, drives, about, operations, rootUrl }
}

/** Sends requests without a client; `path` is relative to `/drive/v3/`, or absolute. */
async function startFakeDrive(t: Test, options?: FakeDriveOptions) {
  const fake = await FakeDrive.start(t, options)
  const send = async (path: string, query: Record<string, string> = {}, { headers, ...asked }: RequestOptions = {}) => {
    const search = new URLSearchParams(query).toString()
    const url = `${fake.url}${path.startsWith('/') ? path : `/drive/v3/${path}`}${search === '' ? '' : `?${search}`}`
    const answer = await sendRequest(url, {
      headers: { authorization: `Bearer ${FAKE_DRIVE_TOKEN}`, ...headers },
      ...asked
    })
    const isJson = String(answer.headers['content-type']).startsWith('application/json')
    const json = (isJson ? JSON.parse(answer.text) : {}) as Json
    const [error] = json.error?.errors ?? []
    return { ...answer, json, reason: error?.reason, location: error?.location }
  }
  const list = (query: Record<string, string>) => send('files', { pageSize: '100', fields: 'files(name)', ...query })
  const names = async (q: string, query: Record<string, string> = {}) => {
    const { json } = await list({ q, orderBy: ORDER_BY, ...query })
    return json.files?.map(({ name }) => name)
  }
  return { fake, send, list, names }
}

t.test('the official client', async (t) => {
  t.test('lists a folder over three pages in one order', async (t) => {
    const { fake, files } = await startWithClient(t)
    fake.tree.addFiles(5, (index) => ({ name: `file ${10 - index}` }))
    fake.tree.addFolder({ name: 'z' })
    fake.tree.addFolder({ name: 'A/b' })
    const found: (string | null | undefined)[] = []
    let pageToken: string | null | undefined
    do {
      const { data } = await files.list({
        ...{ q: IN_ROOT, pageSize: 3, orderBy: ORDER_BY, fields: 'nextPageToken,files(id,name,mimeType)' },
        ...(pageToken != null && { pageToken })
      })
      found.push(...(data.files ?? []).map(({ name }) => name))
      pageToken = data.nextPageToken
    } while (pageToken != null)
    t.same(found, ['A/b', 'z', 'file 6', 'file 7', 'file 8', 'file 9', 'file 10'])
    t.same(fake.operations(), Array(3).fill('GET /drive/v3/files'))
  })

  t.test('gets the requested fields and no others', async (t) => {
    const { fake, files, about } = await startWithClient(t)
    const modified = new Date('2024-05-06T07:08:09.010Z')
    const { id } = fake.tree.addFile({ name: 'a.txt', content: 'abc', modified })
    const { data } = await files.get({ fileId: id, fields: 'size,modifiedTime,md5Checksum,capabilities(canEdit)' })
    const md5Checksum = createHash('md5').update('abc').digest('hex')
    t.same(data, { size: '3', modifiedTime: modified.toISOString(), md5Checksum, capabilities: { canEdit: true } })
    const { data: who } = await about.get({ fields: 'user(emailAddress),storageQuota/usage' })
    t.same(who, { user: { emailAddress: 'me@example.com' }, storageQuota: { usage: '3' } })
  })

  t.test('does not see shared drives without the parameter for them', async (t) => {
    const { fake, files, drives } = await startWithClient(t)
    const { id: driveId } = fake.tree.addDrive('Team')
    const { id: fileId } = fake.tree.addFile({ parent: driveId, name: 'shared.txt', content: 'abc' })
    const { data } = await drives.list({ pageSize: 100, fields: 'drives(id,name)' })
    t.same(data.drives, [{ id: driveId, name: 'Team' }])
    t.match(await rejectionOf(files.get({ fileId, fields: 'id' })), { status: 404 })
    t.equal((await files.get({ fileId, fields: 'driveId', supportsAllDrives: true })).data.driveId, driveId)
    const asked = { q: `'${driveId}' in parents`, pageSize: 10, fields: 'files(name)' }
    t.same((await files.list(asked)).data.files, [])
    t.same((await files.list({ ...asked, ...ALL_DRIVES, corpora: 'user' })).data.files, [])
    const inside = await files.list({ ...asked, ...ALL_DRIVES, corpora: 'drive', driveId })
    t.same(inside.data.files, [{ name: 'shared.txt' }])
    t.match(await rejectionOf(files.list({ ...asked, corpora: 'drive', driveId })), { status: 400 })
  })

  t.test('creates a folder, and a file in it with its content', async (t) => {
    const { fake, files, rootUrl } = await startWithClient(t)
    const folder = await files.create({ requestBody: { name: 'new', mimeType: DRIVE_FOLDER }, fields: 'id' })
    const parents = [folder.data.id ?? '']
    for (const body of ['in\r\n--one', Readable.from([Buffer.from('in\r\n'), Buffer.from('--one')])]) {
      const media = { mimeType: 'text/plain', body }
      const made = await files.create({ requestBody: { name: 'a', parents }, media, fields: 'id,size' }, { rootUrl })
      t.equal(made.data.size, '9')
      t.equal(fake.tree.read(made.data.id ?? '').toString(), 'in\r\n--one')
    }
    t.equal(fake.tree.children(parents[0]).length, 2, 'a name may exist twice')
  })

  t.test('renders a video, which cannot be exported', async (t) => {
    const { fake, files, operations } = await startWithClient(t)
    const video = fake.tree.addDocument({ name: 'v', mimeType: DRIVE_VIDEO, exports: { 'video/mp4': 'film' } })
    const exported = await files
      .export({ fileId: video.id, mimeType: 'video/mp4' }, { validateStatus: () => true })
      .then(({ status, data }) => [status, (data as { error?: DriveErrorBody }).error?.errors[0]?.reason])
    t.same(exported, [403, 'fileNotExportable'])
    const { data: begun } = await files.download({ fileId: video.id, mimeType: 'video/mp4' })
    t.equal(begun.done, undefined)
    const name = begun.name ?? ''
    t.equal((await operations.get({ name })).data.done, false)
    const { data: ended } = await operations.get({ name })
    t.equal(ended.done, true)
    const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }
    t.equal((await sendRequest(String(ended.response?.['downloadUri']), { headers })).text, 'film')
  })

  t.test('downloads a range, exports a document and trashes a file', async (t) => {
    const { fake, files } = await startWithClient(t)
    const { id: fileId } = fake.tree.addFile({ name: 'a', content: '0123456789' })
    const document = fake.tree.addDocument({ name: 'doc', exports: { [PDF]: '%PDF' } })
    const headers = { range: 'bytes=2-4' }
    const part = await files.get({ fileId, alt: 'media' }, { headers, responseType: 'text' })
    t.match(part, { status: 206, data: '234' })
    const exported = await files.export({ fileId: document.id, mimeType: PDF }, { responseType: 'text' })
    t.equal(exported.data, '%PDF')
    t.match(await rejectionOf(files.get({ fileId: document.id, alt: 'media' })), { status: 403 })
    await files.update({ fileId, requestBody: { trashed: true }, fields: 'id' })
    t.ok(fake.tree.isTrashed(fake.tree.get(fileId)))
    await files.delete({ fileId })
    t.equal(fake.tree.find(fileId), undefined)
  })

  t.test('shows the reason of a 403', async (t) => {
    const { fake, files } = await startWithClient(t)
    for (const reason of ['userRateLimitExceeded', 'rateLimitExceeded', 'domainPolicy', 'accessNotConfigured']) {
      fake.failNext(1, { reason })
      const refusal = await rejectionOf(files.get({ fileId: 'root', fields: 'id' }))
      t.match(refusal, { status: 403, response: { data: { error: { code: 403, errors: [{ reason }] } } } })
    }
    t.equal((await files.get({ fileId: 'root', fields: 'id' })).data.id, fake.tree.root.id)
  })
})

t.test('an invalid request is 400, and recorded', async (t) => {
  const { fake, send, list } = await startFakeDrive(t)
  const type = { 'content-type': 'application/json' }
  const mistakes: [string, string, Record<string, string>, RequestOptions?][] = [
    ['no fields', 'about', {}],
    ['no fields', 'files/root', {}],
    ['no fields', 'files', {}, { method: 'POST', headers: type, body: '{}' }],
    ['no pageSize', 'files', { fields: 'files(id)' }],
    ['fields with *', 'files/root', { fields: '*' }],
    ['the field permissions, which the fake does not serve', 'files/root', { fields: 'permissions' }],
    ['the parameter supportsTeamDrives', 'files/root', { fields: 'id', supportsTeamDrives: 'true' }],
    ['the parameter supportsAllDrives', 'files/x/export', { mimeType: PDF, supportsAllDrives: 'true' }],
    ['no boolean in supportsAllDrives', 'files/root', { fields: 'id', supportsAllDrives: '1' }],
    ['a token in the query', 'files/root', { fields: 'id', access_token: 'x' }],
    ['the header if-match', 'files/root', { fields: 'id' }, { headers: { 'if-match': '"a"' } }],
    ['a route that there is not', 'apps', { fields: 'id' }],
    ['metadata of the content type text/plain', 'files', { fields: 'id' }, textBody('{}')],
    ['uploadType=media', '/upload/drive/v3/files', { fields: 'id', uploadType: 'media' }, textBody('abc')]
  ]
  for (const [what, path, query, asked] of mistakes) {
    t.equal((await send(path, query, asked)).status, 400, what)
    t.same(takeMistakes(fake), [what])
  }
  t.equal((await list({ corpora: 'domain' })).status, 400)
  t.same(takeMistakes(fake), ['corpora=domain'])
})

t.test('a field mask is parsed and enforced', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  const { id } = fake.tree.addFile({ name: 'a', content: 'abc' })
  const get = (fields: string) => send(`files/${id}`, { fields })
  t.same((await get('name,capabilities/canEdit,capabilities(canTrash)')).json, {
    name: 'a',
    capabilities: { canEdit: true, canTrash: true }
  })
  t.match((await get('owners(me),owners')).json.owners?.[0], { me: true, displayName: 'me' })
  t.same((await get('driveId')).json, {}, 'a missing field is absent')
  for (const fields of [
    'nome',
    'id,',
    'name(first)',
    'capabilities(',
    'capabilities(canFly)',
    'id name',
    'constructor'
  ]) {
    t.match(await get(fields), { status: 400, reason: 'invalidParameter', location: 'fields' }, fields)
  }
})

t.test('a query is parsed', async (t) => {
  const { fake, names, list } = await startFakeDrive(t)
  const folder = fake.tree.addFolder({ name: 'folder' })
  fake.tree.addFile({ name: "it's", parent: folder })
  const other = fake.tree.addFile({ name: 'back\\slash', parent: folder, mimeType: PDF })
  fake.tree.addShortcut({ name: 'link', target: folder })
  fake.tree.addFolder({ name: 'theirs', sharedWithMe: true })
  t.same(await names("name = 'it\\'s' or name = 'back\\\\slash'"), ['back\\slash', "it's"])
  t.same(await names(`'${folder.id}' in parents and not mimeType='${PDF}'`), ["it's"])
  t.same(await names(`('${folder.id}' in parents) and mimeType != 'text/plain'`), ['back\\slash'])
  t.same(await names(`shortcutDetails.targetMimeType = '${DRIVE_FOLDER}'`), ['link'])
  t.same(await names('sharedWithMe = true'), ['theirs'])
  t.same(await names(IN_ROOT), ['folder', 'link'])
  t.same(await names(`'${other.id}' in parents`), [], 'a file has no children')
  fake.tree.trash(folder)
  t.same(await names("name = 'link' or name='folder' and trashed = true"), ['folder'], 'from left to right')
  t.same(await names(`'${folder.id}' in parents and trashed = false`), [], 'its content is in the trash too')
  t.match(await list({ q: "'missing' in parents" }), { status: 404, reason: 'notFound', location: 'fileId' })
  for (const q of [
    "name = 'it's'",
    "name contains 'a'",
    'trashed',
    'trashed = maybe',
    "name = '\\n'",
    '(trashed = true'
  ]) {
    t.match(await list({ q }), { status: 400, reason: 'invalid', location: 'q' }, q)
  }
  for (const query of [{ orderBy: 'size' }, { pageSize: '0' }, { pageSize: '1001' }, { corpora: 'drive' }]) {
    t.equal((await list(query as Record<string, string>)).status, 400)
  }
})

t.test('a page token', async (t) => {
  const paged = async (t: Test) => {
    const setup = await startFakeDrive(t)
    setup.fake.tree.addFiles(5, (index) => ({ name: `${index}` }))
    const fields = 'nextPageToken,incompleteSearch,files(name)'
    const page = (query: Record<string, string>) => setup.list({ q: IN_ROOT, pageSize: '2', fields, ...query })
    const tokenOf = ({ json }: { json: Json }) => String(json.nextPageToken)
    return { ...setup, page, tokenOf, pageToken: tokenOf(await page({})) }
  }

  t.test('is bound to all other parameters', async (t) => {
    const { page, pageToken } = await paged(t)
    for (const more of [{ q: 'trashed = false' }, { pageSize: '3' }, { orderBy: 'name' }, { spaces: 'drive' }]) {
      t.match(await page({ pageToken, ...more }), { status: 400, location: 'pageToken' })
    }
    t.equal((await page({ pageToken })).json.files?.length, 2)
  })

  t.test('expires', async (t) => {
    const { fake, page, pageToken } = await paged(t)
    fake.expirePageTokens()
    const { status, json, reason, location } = await page({ pageToken })
    t.same([status, json.error?.message, reason, location], [400, 'Invalid Value', 'invalid', 'pageToken'])
  })

  t.test('comes with short and with empty pages too', async (t) => {
    const { fake, page, tokenOf } = await paged(t)
    fake.knobs.incompleteSearch = true
    fake.knobs.shortPages.push(1, 0)
    const first = await page({})
    t.match(first.json, { incompleteSearch: true, files: [{}] })
    const second = await page({ pageToken: tokenOf(first) })
    t.same(second.json.files, [])
    t.equal((await page({ pageToken: tokenOf(second) })).json.files?.length, 2)
  })
})

t.test('ten thousand files are seeded at once', async (t) => {
  const { fake, list } = await startFakeDrive(t)
  const folder = fake.tree.addFolder({ name: 'big' })
  fake.tree.addFiles(10_000, (index) => ({ name: `file ${index}`, parent: folder }))
  const { json } = await list({ q: `'${folder.id}' in parents`, pageSize: '1000', orderBy: ORDER_BY })
  t.equal(json.files?.length, 1000)
  t.equal(json.files?.[999]?.name, 'file 999')
})

t.test('content', async (t) => {
  t.test('is served in ranges, and as a whole for an invalid range', async (t) => {
    const { fake, send } = await startFakeDrive(t)
    const { id } = fake.tree.addFile({ name: 'a', content: '0123456789' })
    const get = (range: string) =>
      send(`files/${id}`, { alt: 'media' }, { headers: { range, 'accept-encoding': 'gzip' } })
    t.match(await get('bytes=8-20'), { status: 206, text: '89', headers: { 'content-range': 'bytes 8-9/10' } })
    t.match(await get('bytes=-3'), { status: 206, text: '789' })
    t.match(await get('bytes=10-'), { status: 416, headers: { 'content-range': 'bytes */10' } })
    for (const range of ['bytes=0-1,3-4', 'bytes=4-2', 'lines=1-2']) {
      t.match(await get(range), { status: 200, text: '0123456789', headers: { 'content-length': '10' } })
    }
    t.notOk('etag' in (await get('bytes=0-')).headers)
  })

  t.test('is refused for several reasons', async (t) => {
    const { fake, send } = await startFakeDrive(t)
    const { tree } = fake
    const abusive = tree.addFile({ name: 'virus', abusive: true })
    const denied = tree.addFile({ name: 'denied', denied: true })
    const locked = tree.addFile({ name: 'locked', capabilities: { canDownload: false } })
    const keyed = tree.addFile({ name: 'keyed', resourceKey: '0-key' })
    const big = tree.addDocument({ name: 'big', exports: { [PDF]: Buffer.alloc(10 * 1024 * 1024 + 1) } })
    const reasonOf = async (id: string, query: Record<string, string> = {}, headers = {}) => {
      const { status, reason } = await send(`files/${id}`, { alt: 'media', ...query }, { headers })
      return [status, reason]
    }
    t.same(await reasonOf(abusive.id), [403, 'cannotDownloadAbusiveFile'])
    t.same(await reasonOf(abusive.id, { acknowledgeAbuse: 'true' }), [200, undefined])
    t.same(await reasonOf(denied.id), [403, 'insufficientFilePermissions'])
    t.same(await reasonOf(locked.id), [403, 'cannotDownloadFile'])
    t.same(await reasonOf('root'), [403, 'fileNotDownloadable'])
    t.same(await reasonOf(keyed.id), [404, 'notFound'])
    t.same(await reasonOf(keyed.id, {}, { 'x-goog-drive-resource-keys': `${keyed.id}/0-key` }), [200, undefined])
    const exported = async (id: string, mimeType: string) => (await send(`files/${id}/export`, { mimeType })).reason
    t.equal(await exported(big.id, PDF), 'exportSizeLimitExceeded')
    t.equal(await exported(big.id, 'image/gif'), 'badRequest')
    t.equal(await exported(locked.id, PDF), 'fileNotExportable')
  })

  t.test('of an export has no length and no ranges, also in a shared drive', async (t) => {
    const { fake, send } = await startFakeDrive(t)
    const parent = fake.tree.addDrive('Team')
    const { id } = fake.tree.addDocument({ name: 'doc', parent, exports: { [PDF]: '%PDF' } })
    const answer = await send(`files/${id}/export`, { mimeType: PDF }, { headers: { range: 'bytes=0-0' } })
    t.match(answer, { status: 200, text: '%PDF', headers: { 'transfer-encoding': 'chunked' } })
    t.notOk('content-length' in answer.headers)
  })
})

t.test('a token', async (t) => {
  const scoped = (...scopes: string[]): FakeDriveOptions => ({ authorize: () => ({ user: 'eve', scopes }) })

  t.test('is required and must be valid', async (t) => {
    const { fake, send } = await startFakeDrive(t)
    for (const authorization of ['', 'Basic abc', 'Bearer other']) {
      const answer = await send('files/root', { fields: 'id' }, { headers: { authorization } })
      t.match(answer, { status: 401, reason: 'authError', headers: { 'www-authenticate': /^Bearer / } })
    }
    fake.tokens.clear()
    t.equal((await send('files/root', { fields: 'id' })).status, 401)
  })

  t.test('for metadata cannot download, and for reading cannot write', async (t) => {
    const { fake, send } = await startFakeDrive(t, scoped(`${DRIVE_SCOPE}.metadata.readonly`))
    const { id } = fake.tree.addFile({ name: 'a' })
    t.equal((await send(`files/${id}`, { fields: 'id' })).status, 200)
    const answer = await send(`files/${id}`, { alt: 'media' })
    t.match(answer, { status: 403, reason: 'insufficientPermissions' })
    t.equal(answer.json.error?.details?.[0]?.reason, 'ACCESS_TOKEN_SCOPE_INSUFFICIENT')
    t.equal((await send('drives', { fields: 'drives(id)', pageSize: '100' })).status, 403)
  })

  t.test('for drive.file sees files that the application created or was given', async (t) => {
    const { fake, send, names } = await startFakeDrive(t, scoped(DRIVE_FILE_SCOPE))
    const { id } = fake.tree.addFile({ name: 'foreign' })
    fake.tree.addFile({ name: 'picked', openedWithApp: true })
    const body = JSON.stringify({ name: 'made', mimeType: DRIVE_FOLDER })
    const headers = { 'content-type': 'application/json; charset=UTF-8' }
    t.equal((await send('files', { fields: 'id' }, { method: 'POST', headers, body })).status, 200)
    t.same(await names(IN_ROOT), ['made', 'picked'])
    t.equal((await send(`files/${id}`, { fields: 'id' })).status, 404)
    t.equal((await send('files/root', { fields: 'id' })).status, 404)
  })

  t.test('for reading all and writing some names what it may not write', async (t) => {
    const { fake, send } = await startFakeDrive(t, scoped(DRIVE_FILE_SCOPE, `${DRIVE_SCOPE}.readonly`))
    const { id } = fake.tree.addFile({ name: 'foreign' })
    t.equal((await send(`files/${id}`, { alt: 'media' })).status, 200)
    t.match(await send(`files/${id}`, {}, { method: 'DELETE' }), { status: 403, reason: 'appNotAuthorizedToFile' })
  })
})

t.test('changes', async (t) => {
  const changing = async (t: Test) => {
    const setup = await startFakeDrive(t)
    const write = (method: string, path: string, body: object, query: Record<string, string> = {}) =>
      setup.send(
        path,
        { fields: 'id,parents,version', ...query },
        { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
      )
    return { ...setup, write }
  }

  t.test('with a generated id happen once', async (t) => {
    const { send, write } = await changing(t)
    const [id] = (await send('files/generateIds', { count: '1' })).json.ids ?? []
    t.equal((await write('POST', 'files', { id, name: 'a' })).json.id, id)
    t.match(await write('POST', 'files', { id, name: 'a' }), { status: 409, reason: 'fileIdInUse' })
    t.equal((await write('POST', 'files', { id: 'made-up', name: 'a' })).status, 400)
  })

  t.test('of the parent need both parameters, and keep the permissions', async (t) => {
    const { fake, write } = await changing(t)
    const folder = fake.tree.addFolder({ name: 'folder' })
    const readonly = fake.tree.addFolder({ name: 'readonly', capabilities: { canAddChildren: false } })
    const file = fake.tree.addFile({ name: 'a' })
    const path = `files/${file.id}`
    t.equal((await write('PATCH', path, {}, { addParents: folder.id })).reason, 'cannotAddParent')
    t.equal((await write('PATCH', path, { parents: [folder.id] })).reason, 'fieldNotWritable')
    const { json } = await write('PATCH', path, { name: 'b' }, { addParents: folder.id, removeParents: 'root' })
    t.same(json.parents, [folder.id])
    t.ok(Number(json.version) > 1)
    const below = fake.tree.addFolder({ name: 'below', parent: folder })
    const around = await write('PATCH', `files/${folder.id}`, {}, { addParents: below.id, removeParents: 'root' })
    t.match(around, { status: 400, location: 'addParents' })
    const into = (id: string) => write('POST', 'files', { name: 'c', parents: [id] })
    t.equal((await into(readonly.id)).reason, 'insufficientParentPermissions')
    t.equal((await into(file.id)).reason, 'parentNotAFolder')
    t.equal((await into('missing')).reason, 'notFound')
    t.equal((await write('PATCH', `files/${readonly.id}`, { trashed: true })).status, 200)
  })
})

t.test('a resumable upload', async (t) => {
  const uploading = async (t: Test) => {
    const setup = await startFakeDrive(t)
    const begin = async (headers: Record<string, string> = {}, method = 'POST', path = '', body = '{"name":"up"}') => {
      const asked = { method, headers: { 'content-type': 'application/json; charset=UTF-8', ...headers }, body }
      const query = { uploadType: 'resumable', fields: 'id,size,mimeType' }
      const answer = await setup.send(`/upload/drive/v3/files${path}`, query, asked)
      return { ...answer, uri: String(answer.headers['location']) }
    }
    const put = async (uri: string, range?: string, body = '') => {
      const headers = range === undefined ? {} : { 'content-range': range }
      const answer = await sendRequest(uri, { method: 'PUT', headers, body })
      return { status: answer.status, range: answer.headers['range'], text: answer.text }
    }
    return { ...setup, begin, put }
  }
  const chunk = 'x'.repeat(CHUNK_UNIT)

  t.test('accepts chunks of an unknown length, and reports its offset', async (t) => {
    const { fake, begin, put } = await uploading(t)
    const { uri } = await begin({ 'x-upload-content-type': PDF })
    t.match(await put(uri, 'bytes */*'), { status: 308, range: undefined })
    t.match(await put(uri, `bytes 0-${CHUNK_UNIT - 1}/*`, chunk), { status: 308, range: `bytes=0-${CHUNK_UNIT - 1}` })
    t.match(await put(uri, 'bytes */*'), { status: 308, range: `bytes=0-${CHUNK_UNIT - 1}` })
    const { status, text } = await put(uri, `bytes ${CHUNK_UNIT}-${CHUNK_UNIT + 2}/${CHUNK_UNIT + 3}`, 'end')
    t.equal(status, 200)
    const { id, ...file } = JSON.parse(text) as { id: string }
    t.same(file, { size: String(CHUNK_UNIT + 3), mimeType: PDF })
    t.equal(fake.tree.read(id).toString(), `${chunk}end`)
    t.equal((await put(uri, 'bytes */*')).status, 404, 'the session has ended')
    t.equal(fake.uploads.open, 0)
    fake.knobs.repeatsCompletedUploads = true
    const { uri: known } = await begin()
    const { text: first } = await put(known, undefined, 'abc')
    t.match(await put(known, 'bytes */3'), { status: 200, text: first }, 'unless it is remembered')
  })

  t.test('refuses invalid ranges', async (t) => {
    const { begin, put } = await uploading(t)
    const { uri } = await begin({ 'x-upload-content-length': String(2 * CHUNK_UNIT) })
    for (const [range, body] of [
      ['bytes 0-2/*', 'abc'],
      [`bytes ${CHUNK_UNIT}-${2 * CHUNK_UNIT - 1}/${2 * CHUNK_UNIT}`, chunk],
      ['bytes 0-9/10', '0123456789'],
      ['bytes 0-5/*', 'abc'],
      ['bytes 0-2', 'abc']
    ]) {
      t.equal((await put(uri, range, body)).status, 400, String(range))
    }
    t.match(await put(uri, `bytes */${2 * CHUNK_UNIT}`), { status: 308, range: undefined })
  })

  t.test('accepts a whole file, an empty one, and new content for an existing one', async (t) => {
    const { fake, begin, put } = await uploading(t)
    t.equal((await put((await begin()).uri, undefined, 'whole')).status, 200)
    for (const range of [undefined, 'bytes */0']) t.equal((await put((await begin()).uri, range)).status, 200)
    const { id } = fake.tree.addFile({ name: 'old', content: 'old' })
    const { uri } = await begin({}, 'PATCH', `/${id}`, '')
    t.equal((await put(uri, 'bytes 0-2/3', 'new')).status, 200)
    t.equal(fake.tree.read(id).toString(), 'new')
    t.same(
      fake.tree.children().map(({ content }) => String(content)),
      ['whole', '', '', 'new']
    )
  })

  t.test('continues after a chunk that was stored in part, or interrupted', async (t) => {
    const { fake, begin, put } = await uploading(t)
    const { uri } = await begin()
    fake.knobs.storedChunkBytes.push(CHUNK_UNIT)
    const range = `bytes 0-${2 * CHUNK_UNIT - 1}/${3 * CHUNK_UNIT}`
    t.match(await put(uri, range, chunk + chunk), { status: 308, range: `bytes=0-${CHUNK_UNIT - 1}` })
    const { hostname, port, pathname, search } = new URL(uri)
    const socket = connect(Number(port), hostname)
    const head = `PUT ${pathname}${search} HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 * CHUNK_UNIT}\r\n`
    socket.write(
      `${head}Content-Range: bytes ${CHUNK_UNIT}-${3 * CHUNK_UNIT - 1}/${3 * CHUNK_UNIT}\r\n\r\n${chunk}and more`
    )
    await until(() => fake.busy() === 1)
    socket.end()
    await until(() => fake.busy() === 0)
    t.match(await put(uri, `bytes */${3 * CHUNK_UNIT}`), { status: 308, range: `bytes=0-${2 * CHUNK_UNIT - 1}` })
    t.equal((await put(uri, `bytes ${2 * CHUNK_UNIT}-${3 * CHUNK_UNIT - 1}/${3 * CHUNK_UNIT}`, chunk)).status, 200)
  })

  t.test('ends when it is cancelled, expires, or lacks space', async (t) => {
    const { fake, begin, put } = await uploading(t)
    const { uri } = await begin()
    t.equal((await sendRequest(uri, { method: 'DELETE' })).status, 499)
    t.equal((await put(uri, undefined, 'a')).status, 404)
    const { uri: later } = await begin()
    const bad = { authorization: 'Bearer other' }
    t.equal((await sendRequest(later, { method: 'PUT', headers: bad, body: 'a' })).status, 401)
    fake.expireUploadSessions()
    t.equal((await put(later, undefined, 'a')).status, 404)
    fake.knobs.quotaBytes = 3
    t.equal((await begin({ 'x-upload-content-length': '4' })).reason, 'storageQuotaExceeded')
    t.equal((await put((await begin()).uri, undefined, '1234')).status, 403)
    t.same(fake.tree.children(), [])
  })
})

t.test('a scripted fault applies to the configured number of matching requests', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  const { id } = fake.tree.addFile({ name: 'a', content: 'x'.repeat(1000) })
  const about = () => send('about', { fields: 'kind' })
  const download = () => send(`files/${id}`, { alt: 'media' })
  const quota = { reason: 'rateLimitExceeded', status: 429, headers: { 'retry-after': '7' } }
  fake.failNext(2, quota, { path: /about$/ })
  fake.failNext(1, { reason: 'backendError', status: 503 }, { path: `/drive/v3/files/${id}` })
  t.match(await about(), { status: 429, reason: 'rateLimitExceeded', headers: { 'retry-after': '7' } })
  t.match(await download(), { status: 503, reason: 'backendError' })
  t.equal((await about()).status, 429)
  t.equal((await about()).status, 200)
  for (const [fault, status] of [
    [htmlPage(502), 502],
    [redirects('http://192.0.2.1/'), 302],
    [respondsWith(200, { body: '{"files": [' }), 200]
  ] as const) {
    fake.failNext(1, fault)
    t.equal((await about()).status, status)
  }
  fake.failNext(1, resets())
  await t.rejects(about(), { code: 'ECONNRESET' })
  fake.resetDownloads(1, 10)
  await t.rejects(download())
  t.equal((await download()).text.length, 1000)

  fake.failNext(1, hangs())
  const leave = new AbortController()
  const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }
  const hanging = fetch(`${fake.url}/drive/v3/files/${id}?alt=media`, { headers, signal: leave.signal })
  await until(() => fake.busy() === 1)
  leave.abort()
  await t.rejects(hanging, { name: 'AbortError' })
  await until(() => fake.busy() === 0)
})

t.test('a slow response delays neither others nor the end of the fake', async (t) => {
  const ends: (() => unknown)[] = []
  const fake = await FakeDrive.start({ teardown: (end) => ends.push(end) })
  const { id } = fake.tree.addFile({ name: 'a.txt' })
  const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }
  const look = (path: string) => fetch(`${fake.url}/drive/v3/files/${path}?fields=name`, { headers })
  fake.delayMs = ({ path }) => (path.endsWith(id) ? 3_600_000 : 0)
  const slow = rejectionOf(look(id))
  await until(() => fake.requests.length === 1)
  t.equal((await look('root')).status, 200)
  fake.delayMs = () => 5
  t.equal((await look('root')).status, 200)
  for (const end of ends) await end()
  t.match(await slow, { message: 'fetch failed' })
})

t.test('a response is compressed for clients that accept it', async (t) => {
  const { fake } = await startFakeDrive(t)
  const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }
  const url = `${fake.url}/drive/v3/files/root?fields=name`
  const answer = await fetch(url, { headers })
  t.equal(answer.headers.get('content-encoding'), 'gzip')
  t.same(await answer.json(), { name: 'My Drive' })
  t.notOk('content-encoding' in (await sendRequest(url, { headers })).headers)
})

function textBody(body: string): RequestOptions {
  return { method: 'POST', headers: { 'content-type': 'text/plain' }, body }
}
