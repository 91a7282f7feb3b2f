import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import contentDisposition from 'content-disposition'
import t from 'tap'
import { truncates, faultScript } from '../fakes/faults.ts'
import { testApp } from '../support/app/app.ts'
import { digest } from '../support/app/read-body.ts'
import { contentPath, davTransfers } from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'

const TEXT = '0123456789'
const MODIFIED = new Date('2026-01-02T03:04:05.000Z')

t.test('content is sent as an attachment and never inline', async (t) => {
  const { fake, get } = await davTransfers(t)
  fake.tree.put('docs/page.html', TEXT, { mimeType: 'text/html', modified: MODIFIED })
  const answer = await get({ id: 'docs/page.html' })
  t.equal(answer.status, 200)
  t.equal(answer.text, TEXT)
  t.match(answer.headers, {
    'content-type': 'text/html',
    'content-length': '10',
    'content-disposition': 'attachment; filename="page.html"',
    'content-security-policy': "sandbox; default-src 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
    vary: 'Authorization, Cookie',
    'accept-ranges': 'bytes',
    etag: /^"[^"]+"$/,
    'last-modified': MODIFIED.toUTCString()
  })
})

t.test('every file name gives a valid Content-Disposition and no other header', async (t) => {
  const { fake, get } = await davTransfers(t)
  const names = [
    'plain.txt',
    'a "quoted" name.txt',
    'semi;colon, and = more.txt',
    'line\r\nSet-Cookie: a=b.txt',
    'שלום.txt',
    '<img src=x onerror=alert(1)>.html',
    "per%20cent'and*star.txt",
    'naïve \u{1f4be}.bin',
    'tab\there',
    ' '
  ]
  for (const name of names) {
    fake.tree.put(name, TEXT)
    const { status, headers } = await get({ id: name })
    t.equal(status, 200, name)
    t.notOk('set-cookie' in headers, name)
    t.match(String(headers['content-disposition']), /^attachment; filename="[\x20\x21\x23-\x5b\x5d-\x7e]*"/, name)
    const { type, parameters } = contentDisposition.parse(String(headers['content-disposition']))
    t.equal(type, 'attachment', name)
    t.equal(parameters['filename'], name)
  }
})

t.test('a file name contains no characters that change the text direction', async (t) => {
  const { fake, get } = await davTransfers(t)
  // UAX #9: marks, embeddings, overrides and isolates.
  const controls = [0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069]
  const names = controls.map((code) => `report${String.fromCodePoint(code)}fdp.exe`)
  for (const name of [...names, `re\u202e\u2066\u200fport\u061cfdp.exe\u2069`]) {
    fake.tree.put(name, TEXT)
    const { status, headers } = await get({ id: name })
    t.equal(status, 200)
    t.equal(headers['content-disposition'], 'attachment; filename="reportfdp.exe"', encodeURIComponent(name))
  }
  fake.tree.put('\u202e\u2066', TEXT)
  const { headers } = await get({ id: '\u202e\u2066' })
  t.equal(headers['content-disposition'], 'attachment; filename="document"', 'a name without other characters')
  fake.tree.put('\u202eфайл.txt', TEXT)
  const { headers: exact } = await get({ id: '\u202eфайл.txt' })
  t.match(exact['content-disposition'], /^attachment; filename="____\.txt"; filename\*=UTF-8''%D1%84[%\w]+\.txt$/)
})

t.test('a single range answers 206; several ranges and other units answer with the whole content', async (t) => {
  const { fake, get } = await davTransfers(t)
  fake.tree.put('a.txt', TEXT)
  for (const [range, contentRange, body] of [
    ['bytes=2-4', 'bytes 2-4/10', '234'],
    ['bytes=8-', 'bytes 8-9/10', '89'],
    ['bytes=-3', 'bytes 7-9/10', '789'],
    ['bytes=0-0', 'bytes 0-0/10', '0'],
    ['bytes=5-99', 'bytes 5-9/10', '56789']
  ] as const) {
    const answer = await get({ id: 'a.txt' }, { range })
    t.match(answer, { status: 206, text: body }, range)
    t.match(answer.headers, { 'content-range': contentRange, 'content-length': String(body.length) }, range)
  }
  for (const range of ['bytes=0-1,3-4', 'lines=0-1', 'bytes=4-2']) {
    const answer = await get({ id: 'a.txt' }, { range })
    t.match(answer, { status: 200, text: TEXT }, range)
    t.notOk('content-range' in answer.headers)
  }
})

t.test('an unsatisfiable range answers 416 with the size', async (t) => {
  const { fake, get } = await davTransfers(t)
  fake.tree.put('a.txt', TEXT)
  const answer = await get({ id: 'a.txt' }, { range: 'bytes=10-' })
  t.equal(answer.status, 416)
  t.match(answer.json(), { code: 'RANGE_NOT_SATISFIABLE' })
  t.match(answer.headers, { 'content-range': 'bytes */10', 'cache-control': 'no-store' })
  t.notOk('content-disposition' in answer.headers)
})

t.test('a range with If-Range is resumed only if the content is the same', async (t) => {
  const { fake, get } = await davTransfers(t)
  fake.tree.put('a.txt', TEXT)
  const { etag = '' } = (await get({ id: 'a.txt' })).headers
  const resume = (tag: string) => get({ id: 'a.txt' }, { range: 'bytes=1-2', 'if-range': tag })
  t.match(await resume(etag), { status: 206, text: '12' })
  t.match(await resume('"other"'), { status: 200, text: TEXT })
})

t.test('If-None-Match answers 304 without a body upstream, and a failed If-Match answers 412', async (t) => {
  const { fake, get, client } = await davTransfers(t)
  fake.tree.put('a.txt', TEXT)
  const { etag = '' } = (await get({ id: 'a.txt' })).headers
  fake.requests.length = 0
  for (const method of ['GET', 'HEAD']) {
    const headers = { 'if-none-match': etag }
    const answer = await client.send(method, contentPath('webdav', { id: 'a.txt' }), { headers })
    t.equal(answer.status, 304)
    t.match(answer.headers, { etag, 'cache-control': 'private, no-cache', vary: 'Authorization, Cookie' })
    t.equal(answer.text, '')
  }
  const unwanted = await get({ id: 'a.txt' }, { 'if-match': '"other"' })
  t.equal(unwanted.status, 412)
  for (const name of ['content-disposition', 'etag', 'last-modified', 'accept-ranges'])
    t.notOk(name in unwanted.headers)
  t.notOk(fake.requests.some(({ method }) => method === 'GET'))
})

t.test('HEAD has the headers of GET and requests no bytes', async (t) => {
  const { fake, get, client } = await davTransfers(t)
  fake.tree.put('a.txt', TEXT, { mimeType: 'text/plain' })
  const { headers } = await get({ id: 'a.txt' })
  fake.requests.length = 0
  const head = await client.send('HEAD', contentPath('webdav', { id: 'a.txt' }))
  t.equal(head.status, 200)
  t.same({ ...head.headers, date: '' }, { ...headers, date: '' })
  t.notOk(fake.requests.some(({ method }) => method === 'GET'))
})

t.test('invalid ids, unknown ids and ids of folders have distinct errors', async (t) => {
  const { fake, get, client } = await davTransfers(t)
  fake.tree.mkdir('folder')
  for (const [id, status, code] of [
    ['', 400, 'INVALID_REQUEST'],
    ['a\0b', 400, 'INVALID_REQUEST'],
    ['x'.repeat(8193), 400, 'INVALID_REQUEST'],
    ['../a', 400, 'INVALID_REQUEST'],
    ['a/../../b', 400, 'INVALID_REQUEST'],
    ['none.txt', 404, 'OBJECT_NOT_FOUND'],
    ['folder/', 404, 'OBJECT_NOT_FOUND']
  ] as const) {
    t.match((await get({ id })).json(), { status, code }, id.slice(0, 20))
    t.equal((await client.send('HEAD', contentPath('webdav', { id }))).status, status, `HEAD ${id.slice(0, 20)}`)
  }
  t.match((await get({})).json(), { status: 400 })
  t.match((await get({ id: 'a', other: 'b' })).json(), { status: 400 })
  t.match((await client.get(`${contentPath('webdav', { id: 'a' })}&id=b`)).json(), { status: 400 })
  t.match((await get({ id: 'a', exportAs: 'text/plain' })).json(), { status: 404 })
  fake.tree.put('a', TEXT)
  t.match((await get({ id: 'a', exportAs: 'text/plain' })).json(), { status: 400, code: 'INVALID_REQUEST' })
  t.match((await client.get(contentPath('none', { id: 'a' }))).json(), { status: 404, code: 'PROVIDER_UNKNOWN' })
})

t.test('a client that disconnects in the middle of a download closes the upstream connection', async (t) => {
  const { fake, client } = await davTransfers(t)
  fake.tree.put('large.bin', Buffer.alloc(64 * 1024 * 1024, 'content '))
  const upstream: (Socket | null)[] = []
  fake.earlyScript = ({ method }, response) => {
    if (method === 'GET') upstream.push(response.socket)
    return false
  }
  const asked = client.startRequest('GET', contentPath('webdav', { id: 'large.bin' })).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  await once(answer, 'readable')
  t.equal(upstream[0]?.closed, false)
  const closed = new Promise((resolve) => upstream[0]?.once('close', resolve))
  answer.destroy()
  await t.resolves(closed)
})

for (const framing of ['length', 'chunked'] as const) {
  t.test(`a broken upstream with framing "${framing}" never ends the response cleanly`, async (t) => {
    const { fake, client } = await davTransfers(t)
    const content = Buffer.alloc(8 * 1024 * 1024, 'content ')
    fake.tree.put('large.bin', content)
    const cut = { content, afterBytes: 3_000_000, framing, end: 'reset', headers: { etag: '"1"' } } as const
    fake.script = faultScript(truncates(cut), { matching: ({ method }) => method === 'GET' })
    const asked = client.startRequest('GET', contentPath('webdav', { id: 'large.bin' })).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    t.equal(answer.statusCode, 200)
    await t.rejects(async () => {
      await digest(answer)
    })
    t.equal(answer.complete, false)
  })
}

t.test('removing a connection during a download ends the body', async (t) => {
  const { fake, client, as, connectionId } = await davTransfers(t, { leaseMs: 100 })
  fake.tree.put('large.bin', Buffer.alloc(64 * 1024 * 1024, 'content '))
  const asked = client.startRequest('GET', contentPath('webdav', { id: 'large.bin' })).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  await once(answer, 'readable')
  await as('ann').send('DELETE', `/cloud/connections/${connectionId}`)
  // The client reads nothing until then: the buffers between the sockets hold much less than the file.
  await until(() => fake.busy() === 0)
  await t.rejects(digest(answer))
  t.equal(answer.complete, false)
})

t.test('without the option transfers the routes do not exist', async (t) => {
  const { as, connect } = await testApp(t)
  await connect('ann')
  for (const [method, url] of [
    ['GET', contentPath('scripted', { id: 'a' })],
    ['DELETE', contentPath('scripted', { id: 'a' })],
    ['POST', '/cloud/scripted/folders']
  ] as const) {
    const answer = await (method === 'GET' ? as('ann').get(url) : as('ann').send(method, url, {}))
    t.equal(answer.statusCode, 404, method)
    t.match(answer.json(), { error: 'Not Found' })
  }
})
