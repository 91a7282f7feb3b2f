import { createHash } from 'node:crypto'
import { request } from 'node:http'
import t from 'tap'
import { takeMistakes } from '../../support/dav/requests.ts'
import { startFakeGraph } from './client.ts'
import { DOWNLOAD_URL } from './select.ts'
import { FAKE_GRAPH_TOKEN } from './fake-graph.ts'
import { until } from '../../support/time/until.ts'

const UNIT = 320 * 1024
const BEHAVIOR = '@microsoft.graph.conflictBehavior'
const JSON_TYPE = { 'content-type': 'application/json' }

t.test('a file without a session', async (t) => {
  t.test('is created if its name is free, unless the request says otherwise', async (t) => {
    const { fake, put } = await startFakeGraph(t)
    const url = `/me/drive/items/${fake.tree.root.id}:/a.txt:/content`
    t.match(await put(url, 'one'), { status: 201, json: { name: 'a.txt', file: { mimeType: 'text/plain' } } })
    const other = url.replace('a.txt', 'A.TXT')
    t.match(await put(`${other}?${BEHAVIOR}=fail`, 'two'), { status: 409, code: 'nameAlreadyExists' })
    t.match(await put(`${url}?${BEHAVIOR}=rename`, 'three'), { status: 201, json: { name: 'a 1.txt' } })
    t.match(await put(other, 'four'), { status: 200, json: { name: 'a.txt', size: 4 } })
    t.match(await put(url, ''), { status: 200, json: { size: 0 } })
    t.same(
      fake.tree.children().map(({ name, content }) => [name, String(content)]),
      [
        ['a.txt', ''],
        ['a 1.txt', 'three']
      ]
    )
    fake.tree.addFolder({ name: 'folder' })
    t.match(await put(url.replace('a.txt', 'folder'), ''), { status: 409, code: 'nameAlreadyExists' })
  })

  t.test('is replaced and deleted only if the condition matches', async (t) => {
    const { fake, send, put } = await startFakeGraph(t)
    const node = fake.tree.addFile({ name: 'a', content: 'x' })
    const url = `/me/drive/items/${node.id}`
    const { eTag, cTag } = (await send(url)).json
    const ifMatch = (tag: unknown) => ({ 'if-match': String(tag) })
    t.match(await put(`${url}/content`, 'y', ifMatch('"other"')), { status: 412, code: 'resourceModified' })
    t.equal((await put(`${url}/content`, 'y', ifMatch(eTag))).status, 200)
    t.equal((await put(`${url}/content`, 'z', ifMatch(cTag))).status, 412, 'the previous cTag')
    const now = (await send(url)).json
    t.equal((await put(`${url}/content`, 'z', ifMatch(now.cTag))).status, 200)
    const absent = `/me/drive/root:/absent:/content`
    t.equal((await put(absent, 'z', ifMatch(now.cTag))).status, 412)
    t.equal((await send(url, { method: 'DELETE', headers: ifMatch(now.eTag) })).status, 412)
    node.flags = { locked: true }
    t.match(await put(`${url}/content`, 'y'), { status: 423, code: 'resourceLocked' })
    t.match(await send(url, { method: 'DELETE' }), { status: 423, code: 'resourceLocked' })
    node.flags = {}
    t.equal((await send(url, { method: 'DELETE', headers: ifMatch((await send(url)).json.eTag) })).status, 204)
    t.equal((await send(url, { method: 'DELETE' })).status, 404)
    t.equal((await send('/me/drive/root', { method: 'DELETE' })).status, 400)
  })

  t.test('requires space and a valid name', async (t) => {
    const { fake, put, post } = await startFakeGraph(t)
    fake.knobs.quotaBytes = 5
    const url = (name: string) => `/me/drive/root:/${encodeURIComponent(name)}:/content`
    t.equal((await put(url('a'), '12345')).status, 201)
    t.match(await put(url('b'), '1'), { status: 507, code: 'quotaLimitReached' })
    t.equal((await put(url('a'), '54321')).status, 200)
    const wrong = [
      'a:b',
      'a*b',
      'a"b',
      'a<b',
      'a?b',
      'a|b',
      'a\\b',
      ' a',
      'a ',
      'a.',
      'con',
      'LPT1',
      '~$a',
      'x_vti_y',
      '\n'
    ]
    for (const name of [...wrong, 'desktop.ini', 'a'.repeat(256)]) {
      t.match(await put(url(name), ''), { status: 400, code: 'invalidRequest' }, name)
      const body = { name, folder: {} }
      t.match(await post('/me/drive/root/children', body), { status: 400, code: 'invalidRequest' }, name)
    }
    for (const name of ['ｶﾞ ガ.txt', '#%&{}~!+=,;@^`', '.hidden', 'console', 'a~$b']) {
      t.match(await put(url(name), ''), { status: 201, json: { name } }, name)
    }
    const folder = { name: 'A', folder: {} }
    t.match(await post('/me/drive/root/children', folder), { status: 409, code: 'nameAlreadyExists' })
    const renamed = { ...folder, [BEHAVIOR]: 'rename' }
    t.match(await post('/me/drive/root/children', renamed), { status: 201, json: { name: 'A 1', folder: {} } })
  })
})

t.test('a session', async (t) => {
  t.test('accepts fragments once, in order, and continues after a lost response', async (t) => {
    const { fake, go, begin, fragment } = await startFakeGraph(t)
    const url = await begin('/me/drive/root:/a.bin:')
    const total = 2 * UNIT + 1
    const content = Buffer.alloc(total, 'xyz')
    const piece = (start: number, end = start + UNIT) => fragment(url, content.subarray(start, end), start, total)
    t.match(await piece(0), { status: 202, json: { nextExpectedRanges: [`${UNIT}-${total - 1}`] } })
    t.match(await piece(0), { status: 416, code: 'invalidRange' })
    fake.knobs.lostFragmentResponses = 1
    await t.rejects(piece(UNIT))
    t.match(await go(url), { status: 200, json: { nextExpectedRanges: [`${2 * UNIT}-${total - 1}`] } })
    t.match(await piece(UNIT), { status: 416 })
    const { status, json } = await piece(2 * UNIT)
    t.match([status, json.name, json.size], [201, 'a.bin', total])
    t.equal(sha1(fake.tree.read(json.id ?? '')), sha1(content))
    t.equal((await go(url)).status, 404)
    t.equal(fake.uploads.open, 0)
  })

  t.test('discards an interrupted fragment', async (t) => {
    const { fake, go, begin } = await startFakeGraph(t)
    const url = await begin('/me/drive/root:/a.bin:')
    const range = { 'content-range': `bytes 0-${UNIT - 1}/${UNIT}`, 'content-length': UNIT }
    const sending = request(url, { method: 'PUT', headers: { ...range, 'content-type': 'application/octet-stream' } })
    sending.on('error', () => {})
    sending.write(Buffer.alloc(1000))
    await until(() => fake.busy() > 0)
    sending.destroy()
    await until(() => fake.busy() === 0)
    t.same((await go(url)).json.nextExpectedRanges, ['0-'])
    t.equal(fake.uploads.open, 1)
    fake.expireUploadSessions()
    t.match(await go(url), { status: 404, code: 'itemNotFound' })
    t.equal(fake.uploads.open, 0)
  })

  t.test('does not create a file whose name is taken, at its begin or at its end', async (t) => {
    const { fake, go, post, begin, fragment } = await startFakeGraph(t)
    const { tree } = fake
    const taken = tree.addFile({ name: 'taken', content: 'old' })
    const path = '/me/drive/root:/taken:/createUploadSession'
    t.match(await post(path, {}), { status: 409, code: 'nameAlreadyExists' })
    const url = await begin('/me/drive/root:/later:', { name: 'later', [BEHAVIOR]: 'fail' })
    const later = tree.addFile({ name: 'LATER' })
    t.match(await fragment(url, Buffer.from('x'), 0, 1), { status: 409, code: 'nameAlreadyExists' })
    t.same((await go(url)).json.nextExpectedRanges, [], 'all bytes are stored')
    t.equal(fake.uploads.open, 1)
    t.equal((await go(url, { method: 'DELETE' })).status, 204)
    t.equal(fake.uploads.open, 0)
    const over = await begin('/me/drive/root:/later:', { [BEHAVIOR]: 'replace' })
    t.match(await fragment(over, Buffer.from('x'), 0, 1), { status: 200, json: { id: later.id } })
    const beside = await begin('/me/drive/root:/later:', { [BEHAVIOR]: 'rename' })
    t.match(await fragment(beside, Buffer.from('x'), 0, 1), { status: 201, json: { name: 'later 1' } })
    const byId = await begin(`/me/drive/items/${taken.id}`)
    t.equal((await fragment(byId, Buffer.from('new'), 0, 3)).status, 200)
    t.equal(tree.read(taken).toString(), 'new')
  })

  t.test('checks its conditions at its begin and at its end', async (t) => {
    const { fake, send, post, fragment } = await startFakeGraph(t)
    const { id } = fake.tree.addFile({ name: 'a', content: 'old' })
    const { eTag } = (await send(`/me/drive/items/${id}`)).json
    const path = `/me/drive/items/${id}/createUploadSession`
    const refused = { status: 412, code: 'resourceModified' }
    t.match(await post(path, {}, { 'if-match': '"other"' }), refused)
    t.match(await post(path, {}, { 'if-none-match': String(eTag) }), refused)
    t.match(await post('/me/drive/root:/a:/createUploadSession', {}, { 'if-none-match': '*' }), refused)
    const { json } = await post(path, {}, { 'if-match': String(eTag) })
    fake.tree.write(id, 'meanwhile')
    t.match(await fragment(json.uploadUrl ?? '', Buffer.from('x'), 0, 1), refused)
    t.equal(fake.tree.read(id).toString(), 'meanwhile')
  })

  t.test('requires space, which personal accounts check at its begin', async (t) => {
    const { fake, post, begin, fragment } = await startFakeGraph(t)
    const path = '/me/drive/root:/a:/createUploadSession'
    fake.knobs.quotaBytes = 2
    t.match(await post(path, { item: { fileSize: 3 } }), { status: 400, code: 'invalidRequest' })
    const url = await begin('/me/drive/root:/a:')
    t.match(await fragment(url, Buffer.from('123'), 0, 3), { status: 507, code: 'quotaLimitReached' })
    fake.knobs.acceptsFileSize = true
    t.match(await post(path, { item: { fileSize: 3 } }), { status: 507, code: 'quotaLimitReached' })
    t.match(await post(path, { item: { fileSize: 0 } }), { status: 400, code: 'invalidRequest' })
    t.equal((await post(path, { item: { fileSize: 2 } })).status, 200)
  })

  t.test('refuses invalid requests', async (t) => {
    const { fake, go, begin, fragment } = await startFakeGraph(t)
    const url = await begin('/me/drive/root:/a:')
    const unit = Buffer.alloc(UNIT)
    const size = 3 * UNIT
    t.equal((await fragment(url, unit, 0, size)).status, 202)
    t.equal((await fragment(url, unit, 2 * UNIT, size)).status, 416)
    await fragment(url, unit.subarray(1), UNIT, size)
    await fragment(url, unit, UNIT, size + 1)
    await fragment(url, Buffer.alloc(2 * UNIT + 1), UNIT, size)
    t.equal((await fragment(url, unit, UNIT, size, { authorization: `Bearer ${FAKE_GRAPH_TOKEN}` })).status, 401)
    await fragment(url, unit, UNIT, size, { 'content-range': `bytes ${UNIT}-${UNIT}/${size}` })
    await fragment(url, unit, UNIT, size, { 'content-range': 'bytes */*' })
    await go(`${url}&more`)
    t.same(takeMistakes(fake), [
      `a fragment from ${2 * UNIT}, where ${UNIT} are stored`,
      `a fragment of ${UNIT - 1} bytes that is not the last`,
      `${size + 1} bytes in all, where ${size} were said before`,
      `a fragment to ${size} of ${size} bytes`,
      'a token where an address is secret',
      `1 bytes are announced, and ${UNIT} come`,
      'the Content-Range bytes */*',
      'an address that was never handed out'
    ])
    t.same((await go(url)).json.nextExpectedRanges, [`${UNIT}-${size - 1}`])
    const huge = 60 * 1024 * 1024
    await fragment(await begin('/me/drive/root:/b:'), Buffer.alloc(huge), 0, 2 * huge)
    t.same(takeMistakes(fake), [`a fragment of ${huge} bytes`])
  })
})

t.test('personal accounts', async (t) => {
  const { fake, go, send, put, begin, fragment } = await startFakeGraph(t, { kind: 'personal' })
  const { tree, contentUrl } = fake
  t.match(await send('/sites?search=*'), { status: 400, code: 'BadRequest' })
  const { json: drive } = await send('/me/drive?$select=id,driveType')
  t.match(drive, { id: /^[0-9a-f]{16}$/, driveType: 'personal' })
  const modified = new Date('2024-05-06T07:08:09.010Z')
  const file = tree.addFile({ name: 'a', content: 'abc', modified })
  t.equal(file.id.split('!')[0], file.driveId.toUpperCase())
  t.match(tree.newId(), /^[0-9A-F]{16}!\d+$/)
  const folder = tree.addFolder({ name: 'f' })
  const before = (await send(`/me/drive/items/${folder.id}`)).json
  tree.addFile({ name: 'inside', parent: folder })
  t.not((await send(`/me/drive/items/${folder.id}`)).json.cTag, before.cTag, 'a folder changes with its content')
  const { json } = await send(`/me/drive/items/${file.id}`)
  t.equal(json.file?.hashes?.sha1Hash, sha1(Buffer.from('abc')).toUpperCase())
  t.equal(json.lastModifiedDateTime, modified.toISOString())
  t.equal((await put(`/me/drive/items/${file.id}/content`, 'new', { 'if-match': String(json.eTag) })).status, 200)
  t.equal((await put(`/me/drive/items/${file.id}/content`, 'no', { 'if-match': 'aOther' })).status, 412)
  t.match(takeMistakes(fake), [])
  t.equal((await put(`/me/drive/items/${file.id}/content`, 'no', { 'if-match': `"${json.eTag}"` })).status, 400)
  t.match(takeMistakes(fake), [/^the tag ".*" in if-match$/])
  t.ok(json[DOWNLOAD_URL]?.startsWith(`${contentUrl}/y4m`))
  t.equal((await go(json[DOWNLOAD_URL]!)).text, 'new')
  const url = await begin('/me/drive/root:/b:', { fileSize: 1 })
  t.ok(url.startsWith(`${contentUrl}/up/`))
  t.equal((await fragment(url, Buffer.from('1'), 0, 1)).status, 201)
  t.equal((await send('/me')).json.id?.length, 16)
})

t.test('scopes', async (t) => {
  const graph = 'https://graph.microsoft.com/'
  const scopes: string[] = []
  const authorize = (bearer: string) => ({ user: bearer === FAKE_GRAPH_TOKEN ? 'me' : bearer, scopes })
  const { fake, go, send, put } = await startFakeGraph(t, { authorize })
  const site = fake.tree.addSite({ name: 'Team' })
  const { driveId } = fake.tree.addDrive({ name: 'Documents', site })
  const asks = {
    me: () => send('/me'),
    own: () => send('/me/drive/root'),
    other: () => send(`/drives/${driveId}/root`),
    sites: () => send(`/sites/${encodeURIComponent(site.id)}`),
    write: () => put('/me/drive/root:/a:/content', ''),
    'write other': () => put(`/drives/${driveId}/root:/a:/content`, '')
  }
  for (const [scope, allowed] of [
    ['User.Read', ['me']],
    ['Files.Read', ['own']],
    ['Files.ReadWrite', ['own', 'write']],
    [`${graph}Files.Read.All`, ['own', 'other']],
    ['Files.ReadWrite.All', ['own', 'other', 'write', 'write other']],
    ['Sites.Read.All', ['own', 'other', 'sites']],
    [`${graph}Sites.ReadWrite.All`, ['own', 'other', 'sites', 'write', 'write other']]
  ] as const) {
    scopes.splice(0, 1, scope)
    const statuses = await Promise.all(Object.entries(asks).map(async ([name, of]) => [name, await of()] as const))
    const isRefused = ([, { status }]: (typeof statuses)[number]) => status >= 300
    const refused = statuses.filter(isRefused)
    for (const [name, answer] of refused) t.match(answer, { status: 403, code: 'accessDenied' }, `${scope}: ${name}`)
    const found = statuses.filter((each) => !isRefused(each)).map(([name]) => name)
    t.same(found, allowed, scope)
  }
  const headers = { authorization: 'Bearer another' }
  t.not((await go(`${fake.url}/v1.0/me/drive`, { headers })).json.id, fake.tree.root.driveId)
})

t.test('invalid requests are recorded', async (t) => {
  const { fake, ownId, send, put, post } = await startFakeGraph(t)
  const { id } = fake.tree.addFile({ name: 'a' })
  const root = '/me/drive/root'
  const item = `/me/drive/items/${id}`
  const create = `${root}:/b:/createUploadSession`
  const { json } = await send(`${root}/children?$top=1`)
  t.equal(json['@odata.nextLink'], undefined)
  fake.knobs.maxSimpleBytes = 3
  const wrong: [what: string, ask: () => Promise<{ status: number }>][] = [
    ['a route that there is not', () => send(`/drives/${ownId}/list`)],
    ['a route that there is not', () => send(`${root}/versions`)],
    ['a route that there is not', () => send(item, { method: 'PATCH' })],
    ['a route that there is not', () => send(`${fake.url}/v2.0/me`)],
    ['a route that there is not', () => send(`${root}:/a:b`)],
    ['a path that is no URI', () => send(`${root}:/100%`)],
    ['a path that is no UTF-8', () => send(`${root}:/%ff`)],
    ['the parameter $filter', () => send(`${root}/children?$filter=folder`)],
    ['the parameter $select', () => put(`${item}/content?$select=id`, '')],
    ['a parameter twice', () => send(`${root}?$select=id&$select=name`)],
    ['nothing in $select', () => send(`${root}?$select=`)],
    ['$select with nme', () => send(`${root}?$select=id,nme`)],
    ['$expand=children', () => send(`${root}?$expand=children`)],
    ['$orderby=size', () => send(`${root}/children?$orderby=size`)],
    ['$top=1000', () => send(`${root}/children?$top=1000`)],
    ['$top=0', () => send(`${root}/children?$top=0`)],
    ['secret addresses of everything in a folder', () => send(`${root}/children?$select=${DOWNLOAD_URL}`)],
    ['a $skiptoken that was never handed out', () => send(`${root}/children?$skiptoken=x`)],
    ['sites without a search', () => send('/sites')],
    ['the header if-match', () => send(item, { headers: { 'if-match': '*' } })],
    ['the header if-none-match', () => send(`${root}/children`, { headers: { 'if-none-match': '*' } })],
    ['the header cookie', () => send(item, { headers: { cookie: 'a=b' } })],
    ['the tag {abc},1 in if-match', () => put(`${item}/content`, '', { 'if-match': '{abc},1' })],
    ['no content-type', () => send(`${item}/content`, { method: 'PUT', body: '' })],
    ['the content-type text/plain', () => post(create, {}, { 'content-type': 'text/plain' })],
    ['4 bytes without a session', () => put(`${item}/content`, '1234')],
    ['a folder that there is not, which Graph would make', () => put(`${root}:/x/y:/content`, '')],
    [`a conflictBehavior that there is not: "skip"`, () => put(`${root}:/b:/content?${BEHAVIOR}=skip`, '')],
    ['another name for a file that is known by its id', () => put(`${item}/content?${BEHAVIOR}=rename`, '')],
    ['a body that is no JSON', () => send(create, { method: 'POST', body: '{', headers: JSON_TYPE })],
    ['file in the body', () => post(`${root}/children`, { name: 'b', folder: {}, file: {} })],
    ['folder is no object', () => post(`${root}/children`, { name: 'b' })],
    [
      'a folder that replaces another',
      () => post(`${root}/children`, { name: 'b', folder: {}, [BEHAVIOR]: 'replace' })
    ],
    ['size in item', () => post(create, { item: { size: 1 } })],
    ['another name in the body', () => post(create, { item: { name: 'c' } })],
    ['deferCommit, which the fake does not know', () => post(create, { deferCommit: true })]
  ]
  for (const [what, ask] of wrong) {
    const { status } = await ask()
    t.same(takeMistakes(fake), [what])
    t.ok(status >= 400, what)
  }
  const first = await put(`${root}:/b:/content`, '')
  t.equal(first.status, 201)
  const page = await send(`${root}/children?$top=1&$select=name`)
  await send(page.json['@odata.nextLink']?.replace('$top=1', '$top=2') ?? '')
  t.same(takeMistakes(fake), ['a next link that was changed'])
  const asked = { method: 'PUT', body: new Blob(['x']).stream(), duplex: 'half' }
  const headers = { authorization: `Bearer ${FAKE_GRAPH_TOKEN}`, 'content-type': 'text/plain' }
  await fetch(`${fake.url}/v1.0${item}/content`, { ...asked, headers } as RequestInit)
  t.match(takeMistakes(fake), [/not chunked/])
})

const sha1 = (content: Buffer) => createHash('sha1').update(content).digest('hex')
