import { once } from 'node:events'
import t from 'tap'
import type { Entry } from '../../src/core/entry.ts'
import { readResponse, contentPath, davTransfers } from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'

const MIB = 1024 * 1024

t.test('a new file answers 201 with its entry, as in a listing', async (t) => {
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

t.test('without a parent a file is created in the root', async (t) => {
  const { fake, put } = await davTransfers(t)
  t.match((await put({ name: 'a.txt' }, { body: 'text' })).json(), { id: 'a.txt', parentId: null, size: 4 })
  t.equal(fake.tree.read('a.txt').toString(), 'text')
  t.equal((await put({ name: 'a.txt' }, { body: 'other' })).status, 200, 'an existing name is replaced')
})

t.test('a file that is replaced by its id answers 200', async (t) => {
  const { fake, put } = await davTransfers(t)
  fake.tree.put('a.txt', 'old')
  const answer = await put({ id: 'a.txt' }, { body: 'new text' })
  t.equal(answer.status, 200)
  t.match(answer.json(), { id: 'a.txt', size: 8 })
  t.equal(fake.tree.read('a.txt').toString(), 'new text')
  t.match((await put({ id: 'none.txt' }, { body: 'x' })).json(), { status: 404, code: 'OBJECT_NOT_FOUND' })
  t.notOk(fake.tree.has('none.txt'), 'an unknown id creates no file')
})

t.test('a body of any content type is stored unchanged', async (t) => {
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

t.test('a body is streamed, with or without a length, and never buffered', async (t) => {
  const { fake, client } = await davTransfers(t)
  let begun = 0
  fake.earlyScript = ({ method }) => {
    if (method === 'PUT') begun += 1
    return false
  }
  const piece = Buffer.alloc(MIB, 'piece of content')
  for (const [index, length] of [{ 'content-length': 24 * MIB }, { 'transfer-encoding': 'chunked' }].entries()) {
    const asked = client.startRequest('PUT', contentPath('webdav', { name: 'large.bin' }), { headers: length })
    const answered = readResponse(asked)
    asked.write(piece)
    await until(() => begun === index + 1)
    t.pass('the provider receives data before the end of the body')
    for (let count = 1; count < 24; count++) if (!asked.write(piece)) await once(asked, 'drain')
    asked.end()
    t.ok((await answered).status < 300)
    t.equal(fake.tree.read('large.bin').length, 24 * MIB)
    const sent = fake.requests.filter(({ method }) => method === 'PUT').at(-1)
    t.match(sent?.headers, length)
  }
})

t.test('an invalid target is refused without a call upstream', async (t) => {
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
