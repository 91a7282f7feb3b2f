import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import type { Entry } from '../../src/domain/entry.ts'
import { answerOf, contentPath, davTransfers } from '../support/transfer-app.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024

t.test('a new file is 201 with its entry, as a listing has it', async (t) => {
  const { fake, put, client } = await davTransfers(t)
  fake.tree.mkdir('docs')
  const headers = { 'content-type': 'text/csv; charset=utf-8' }
  const answer = await put({ parent: 'docs/', name: 'a "b" <c>.csv' }, { headers, body: 'a,b' })
  t.equal(answer.status, 201)
  t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': 'no-store' })
  t.equal(fake.tree.read('docs/a "b" <c>.csv').toString(), 'a,b')
  const sent = fake.requests.find(({ method }) => method === 'PUT')
  t.match(sent?.headers, { 'content-type': 'text/csv; charset=utf-8', 'content-length': '3' })
  const listing = (await client.get('/cloud/webdav/listing?folder=docs%2F')).json() as { entries: Entry[] }
  t.same([answer.json()], listing.entries)
})

t.test('without a parent a file goes into the root', async (t) => {
  const { fake, put } = await davTransfers(t)
  t.match((await put({ name: 'a.txt' }, { body: 'text' })).json(), { id: 'a.txt', parentId: null, size: 4 })
  t.equal(fake.tree.read('a.txt').toString(), 'text')
  t.equal((await put({ name: 'a.txt' }, { body: 'other' })).status, 200, 'a name that is taken is replaced')
})

t.test('a file that is named by its id is replaced: 200', async (t) => {
  const { fake, put } = await davTransfers(t)
  fake.tree.put('a.txt', 'old')
  const answer = await put({ id: 'a.txt' }, { body: 'new text' })
  t.equal(answer.status, 200)
  t.match(answer.json(), { id: 'a.txt', size: 8 })
  t.equal(fake.tree.read('a.txt').toString(), 'new text')
  t.match((await put({ id: 'none.txt' }, { body: 'x' })).json(), { status: 404, code: 'OBJECT_NOT_FOUND' })
  t.notOk(fake.tree.has('none.txt'), 'an id is that of what is there')
})

t.test('whatever type a body has, it is stored as it came', async (t) => {
  const { fake, put } = await davTransfers(t)
  const types = [
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    undefined
  ]
  for (const type of types) {
    const body = Buffer.from([0x7b, 0x00, 0xff, 0x0d, 0x0a])
    const answer = await put({ name: 'a' }, { ...(type !== undefined && { headers: { 'content-type': type } }), body })
    t.ok(answer.status < 300, type ?? 'none')
    t.same(fake.tree.read('a'), body, type ?? 'none')
  }
  t.equal((await put({ name: 'empty' }, { body: '' })).status, 201)
  t.equal((await put({ name: 'nothing' })).status, 201)
  t.equal(fake.tree.read('empty').length + fake.tree.read('nothing').length, 0)
  t.match((await put({ name: 'b' }, { headers: { 'content-type': 'no type' }, body: 'x' })).json(), { status: 415 })
})

t.test('a body goes on as it comes, with or without a length, and is held nowhere', async (t) => {
  const { fake, client } = await davTransfers(t)
  let begun = 0
  fake.earlyScript = ({ method }) => {
    if (method === 'PUT') begun += 1
    return false
  }
  const piece = Buffer.alloc(MIB, 'piece of content')
  for (const [index, length] of [{ 'content-length': 24 * MIB }, { 'transfer-encoding': 'chunked' }].entries()) {
    const asked = client.begin('PUT', contentPath('webdav', { name: 'large.bin' }), { headers: length })
    const answered = answerOf(asked)
    asked.write(piece)
    await until(() => begun === index + 1)
    t.pass('the provider hears of it before its end')
    for (let count = 1; count < 24; count++) if (!asked.write(piece)) await once(asked, 'drain')
    asked.end()
    t.ok((await answered).status < 300)
    t.equal(fake.tree.read('large.bin').length, 24 * MIB)
    const sent = fake.requests.filter(({ method }) => method === 'PUT').at(-1)
    t.match(sent?.headers, length)
  }
})

t.test('a provider that takes nothing makes the client wait', async (t) => {
  const { fake, client } = await davTransfers(t)
  const taken: ServerResponse[] = []
  fake.earlyScript = ({ method }, response) => {
    if (method === 'PUT') taken.push(response)
    return method === 'PUT'
  }
  const asked = client.begin('PUT', contentPath('webdav', { name: 'a' }), { headers: { 'content-length': 512 * MIB } })
  const piece = Buffer.alloc(MIB)
  let sent = 0
  let before = -1
  let still = 0
  await until(() => {
    while (asked.writableLength < 4 * MIB && sent < 512) {
      asked.write(piece)
      sent += 1
    }
    still = sent === before ? still + 1 : 0
    before = sent
    return still > 2000 || sent === 512
  })
  t.ok(sent < 128, `${sent} MiB`)
  taken[0]?.socket?.destroy()
  await new Promise((resolve) => asked.once('close', resolve))
})

t.test('If-None-Match: * never overwrites: 412', async (t) => {
  const { fake, put } = await davTransfers(t)
  const headers = { 'if-none-match': '*' }
  t.equal((await put({ name: 'a.txt' }, { headers, body: 'first' })).status, 201)
  for (const target of [{ name: 'a.txt' }, { id: 'a.txt' }]) {
    const answer = await put(target, { headers, body: 'second' })
    t.match(answer.json(), { status: 412, code: 'PRECONDITION_FAILED' })
  }
  t.equal(fake.tree.read('a.txt').toString(), 'first')
})

t.test('If-Match replaces only the version that the client saw: else 412', async (t) => {
  const { fake, put, get } = await davTransfers(t)
  fake.tree.put('a.txt', 'first')
  for (const target of [{ id: 'a.txt' }, { name: 'a.txt' }]) {
    const { etag = '' } = (await get({ id: 'a.txt' })).headers
    const second = await put(target, { headers: { 'if-match': etag }, body: 'second' })
    t.equal(second.status, 200)
    const again = await put(target, { headers: { 'if-match': etag }, body: 'third' })
    t.match(again.json(), { status: 412, code: 'PRECONDITION_FAILED' })
    t.equal(fake.tree.read('a.txt').toString(), 'second')
    const { version } = second.json() as Entry
    t.equal((await put(target, { headers: { 'if-match': `"${version}"` }, body: 'third' })).status, 200)
  }
  const { etag = '' } = (await get({ id: 'a.txt' })).headers
  t.equal((await put({ id: 'a.txt' }, { headers: { 'if-match': `W/${etag}` }, body: 'weak' })).status, 412)
  t.equal((await put({ id: 'a.txt' }, { headers: { 'if-match': `"x", ${etag}` }, body: 'list' })).status, 200)
  t.equal((await put({ id: 'a.txt' }, { headers: { 'if-match': '*' }, body: 'any' })).status, 200)
  t.equal((await put({ id: 'none' }, { headers: { 'if-match': '*' }, body: 'any' })).status, 412)
  t.equal(fake.tree.read('a.txt').toString(), 'any')
})

t.test('a condition that cannot be kept is refused, and not forgotten', async (t) => {
  const { fake, put, remove } = await davTransfers(t)
  fake.tree.put('a.txt', 'first')
  const refused: Record<string, string>[] = [
    { 'if-none-match': '"1"' },
    { 'if-match': 'no quotes' },
    { 'if-match': '"a" "b"' },
    { 'if-unmodified-since': 'Fri, 02 Jan 2026 03:04:05 GMT' },
    { 'if-match': '"1"', 'if-none-match': '*' },
    { 'content-range': 'bytes 0-3/10' }
  ]
  for (const headers of refused) {
    const answer = await put({ id: 'a.txt' }, { headers, body: 'other' })
    t.ok([400, 412].includes(answer.status), JSON.stringify(headers))
  }
  for (const headers of [{ 'if-match': '*' }, { 'if-match': '"1", "2"' }]) {
    t.match((await put({ name: 'a.txt' }, { headers, body: 'x' })).json(), { status: 400, code: 'INVALID_REQUEST' })
  }
  t.match((await put({ name: 'z' }, { headers: { 'content-encoding': 'gzip' }, body: 'x' })).json(), {
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE'
  })
  t.match((await remove({ id: 'a.txt' }, { headers: { 'if-none-match': '*' } })).json(), { status: 400 })
  t.equal(fake.tree.read('a.txt').toString(), 'first')
  t.same(fake.tree.list(), ['a.txt'])
})

t.test('a target that is none is refused before anything is asked', async (t) => {
  const { fake, put } = await davTransfers(t)
  const targets: Record<string, string>[] = [
    {},
    { parent: 'docs/' },
    { id: 'a', name: 'b' },
    { id: 'a', parent: 'docs/' },
    { id: '' },
    { name: '' },
    { parent: '', name: 'a' },
    { name: 'a\0b' },
    { name: 'a/b' },
    { name: '..' },
    { name: '.' },
    { id: '../a' },
    { parent: '../', name: 'a' },
    { name: 'x'.repeat(8193) },
    { name: 'a', other: 'b' }
  ]
  for (const target of targets) {
    const answer = await put(target, { body: 'x' })
    t.match(answer.json(), { status: 400, code: 'INVALID_REQUEST' }, JSON.stringify(target).slice(0, 60))
  }
  t.same(fake.tree.list(), [])
  t.notOk(fake.requests.some(({ method }) => method === 'PUT'))
})

t.test('more than maxBytes is 413, as announced or as it comes, and nothing is left of it', async (t) => {
  const { fake, put, client } = await davTransfers(t, { transfers: { maxBytes: 100_000 } })
  t.equal((await put({ name: 'fits' }, { body: Buffer.alloc(100_000) })).status, 201)
  fake.requests.length = 0
  const announced = await put({ name: 'large' }, { body: Buffer.alloc(100_001) })
  t.match(announced.json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  t.same(fake.requests, [], 'nobody was asked')
  const asked = client.begin('PUT', contentPath('webdav', { name: 'large' }), {
    headers: { 'transfer-encoding': 'chunked' }
  })
  const answered = answerOf(asked)
  for (let count = 0; count < 20; count++) asked.write(Buffer.alloc(10_000))
  asked.end()
  t.match((await answered).json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  t.same(fake.tree.list(), ['fits'])
  await until(() => fake.busy() === 0)
})

t.test('a refusal reaches a client that is still sending, and its connection goes on', async (t) => {
  const { app, fake } = await davTransfers(t)
  fake.tree.put('a.txt', 'first')
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let heard = ''
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text))
  const head = (method: string, ...lines: string[]) =>
    [`${method} ${contentPath('webdav', { id: 'a.txt' })} HTTP/1.1`, 'host: x', 'x-user: ann', ...lines, '', ''].join(
      '\r\n'
    )
  for (const condition of ['if-none-match: *', 'content-encoding: br']) {
    heard = ''
    socket.write(head('PUT', condition, `content-length: ${8 * MIB}`))
    await until(() => /^HTTP\/1\.1 4(12|15) /.test(heard))
    socket.write(Buffer.alloc(8 * MIB))
    heard = ''
    socket.write(head('GET'))
    await until(() => /^HTTP\/1\.1 200 .*\r\n\r\nfirst$/s.test(heard))
  }
  t.pass()
})

for (const headers of [{ 'content-length': 10 * MIB }, { 'transfer-encoding': 'chunked' }]) {
  t.test(`a client that leaves in the middle leaves nothing behind (${Object.keys(headers).join()})`, async (t) => {
    const { fake, client } = await davTransfers(t)
    let begun = false
    fake.earlyScript = ({ method }) => {
      begun ||= method === 'PUT'
      return false
    }
    const asked = client.begin('PUT', contentPath('webdav', { name: 'a' }), { headers })
    asked.write(Buffer.alloc(MIB))
    await until(() => begun)
    const left = performance.now()
    asked.destroy()
    await until(() => fake.busy() === 0)
    t.ok(performance.now() - left < 1000)
    t.same(fake.tree.list(), [])
  })
}

t.test('a client that falls silent is given up', async (t) => {
  const { fake, client } = await davTransfers(t, { timeouts: { idleMs: 300 } })
  const asked = client.begin('PUT', contentPath('webdav', { name: 'a' }), { headers: { 'content-length': 10 * MIB } })
  const answered = answerOf(asked)
  asked.write(Buffer.alloc(1000))
  t.match((await answered).json(), { status: 400, code: 'INVALID_REQUEST' })
  await until(() => fake.busy() === 0)
  t.same(fake.tree.list(), [])
  asked.destroy()
})

t.test('folders are made with 201 and their entry, and never twice', async (t) => {
  const { fake, makeFolder } = await davTransfers(t)
  const made = await makeFolder({ parentId: null, name: '<img src=x>' })
  t.equal(made.status, 201)
  t.match(made.json(), { id: '<img src=x>/', kind: 'folder', parentId: null, name: '<img src=x>' })
  t.equal((await makeFolder({ parentId: '<img src=x>/', name: 'in' })).status, 201)
  t.match((await makeFolder({ name: '<img src=x>' })).json(), { status: 409, code: 'ALREADY_EXISTS' })
  t.match((await makeFolder({ parentId: 'none/', name: 'in' })).json(), { status: 404, code: 'FOLDER_NOT_FOUND' })
  const refused = [{}, { name: '' }, { name: 1 }, { name: 'a/b' }, { name: 'a', other: 1 }, { parentId: '', name: 'a' }]
  for (const body of [...refused, { parentId: 1, name: 'a' }, []]) {
    t.match((await makeFolder(body)).json(), { status: 400, code: 'INVALID_REQUEST' }, JSON.stringify(body))
  }
  t.same(fake.tree.list(), ['<img src=x>/', '<img src=x>/in/'])
})

t.test('a file is removed with 204, and again; under If-Match only the version that is meant', async (t) => {
  const { fake, remove, get } = await davTransfers(t)
  fake.tree.put('docs/a.txt', 'text')
  t.match((await remove({ id: 'docs/' })).json(), { status: 400, code: 'INVALID_REQUEST' })
  t.match((await remove({ id: 'docs/a.txt' }, { headers: { 'if-match': '"other"' } })).json(), { status: 412 })
  t.match((await remove({})).json(), { status: 400 })
  t.ok(fake.tree.has('docs/a.txt'))
  const { etag = '' } = (await get({ id: 'docs/a.txt' })).headers
  const gone = await remove({ id: 'docs/a.txt' }, { headers: { 'if-match': etag } })
  t.equal(gone.status, 204)
  t.equal(gone.text, '')
  t.notOk(fake.tree.has('docs/a.txt'))
  t.equal((await remove({ id: 'docs/a.txt' })).status, 204)
  t.equal((await remove({ id: 'docs/a.txt' }, { headers: { 'if-match': etag } })).status, 412)
})
