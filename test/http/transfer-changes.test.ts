import t from 'tap'
import type { Entry } from '../../src/core/entry.ts'
import { davTransfers } from '../support/app/transfer-app.ts'

t.test('If-None-Match: * answers 412 instead of overwriting', async (t) => {
  const { fake, put } = await davTransfers(t)
  const headers = { 'if-none-match': '*' }
  t.equal((await put({ name: 'a.txt' }, { headers, body: 'first' })).status, 201)
  for (const target of [{ name: 'a.txt' }, { id: 'a.txt' }]) {
    const answer = await put(target, { headers, body: 'second' })
    t.match(answer.json(), { status: 412, code: 'PRECONDITION_FAILED' })
  }
  t.equal(fake.tree.read('a.txt').toString(), 'first')
})

t.test('If-Match replaces only the version that the client has seen, and answers 412 otherwise', async (t) => {
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

t.test('a condition that cannot be met is refused and not ignored', async (t) => {
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

t.test('a new folder answers 201 with its entry, and an existing one is refused', async (t) => {
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

t.test('deleting a file answers 204, repeatedly; with If-Match only the named version is deleted', async (t) => {
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
