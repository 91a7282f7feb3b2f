import t, { type Test } from 'tap'
import type { Database } from '../../src/db/open-database.ts'
import { readResponse } from '../support/app/transfer-app.ts'
import { startBucketDocuments, contentPath, startDocumentsApp } from '../support/app/documents-app.ts'
import { sendError } from '../fakes/s3/xml.ts'
import { until } from '../support/time/until.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

const MIB = 1024 * 1024

t.test('an aborted upload changes neither the document nor the store', async (t) => {
  const { make, begin, view, get, stored } = await startDocumentsApp(t)
  for (const id of [await make(), await make('b.txt', 'hello')]) {
    const before = await view(id)
    const files = await stored()
    const asked = begin(id, { headers: { 'content-length': 10 * MIB } })
    asked.write(Buffer.alloc(MIB))
    await until(async () => (await stored()).length > files.length)
    asked.destroy()
    await until(async () => (await stored()).length === files.length)
    t.same(await view(id), before)
    t.equal((await get(id)).status, before.hasContent ? 200 : 404)
  }
})

t.test('an upload that stalls or is too large is refused and leaves nothing behind', async (t) => {
  const { make, begin, put, view, stored } = await startDocumentsApp(t, {
    config: { transfers: { maxBytes: 100_000 }, timeouts: { idleMs: 300 } }
  })
  const id = await make()
  t.match((await put(id, Buffer.alloc(100_001))).json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  const chunked = begin(id, { headers: { 'transfer-encoding': 'chunked' } })
  const answered = readResponse(chunked)
  for (let count = 0; count < 20; count++) chunked.write(Buffer.alloc(10_000))
  chunked.end()
  t.match((await answered).json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })

  const silent = begin(id, { headers: { 'content-length': 1000 } })
  const given = readResponse(silent)
  silent.write('x')
  t.match((await given).json(), { status: 400, detail: /stalled/ })
  silent.destroy()
  t.same(await stored(), [])
  t.match(await view(id), { hasContent: false, size: null })
  t.equal((await put(id, Buffer.alloc(100_000))).status, 201)
})

t.test('incomplete content is refused', async (t) => {
  const { make, put, get } = await startDocumentsApp(t)
  const id = await make('a.txt', 'hello')
  t.equal((await put(id, 'x', { headers: { 'content-encoding': 'gzip' } })).status, 415)
  t.equal((await put(id, 'x', { headers: { 'content-range': 'bytes 0-0/5' } })).status, 400)
  t.equal((await put(id, 'x', { headers: { 'if-unmodified-since': new Date().toUTCString() } })).status, 400)
  t.equal((await get(id)).text, 'hello')
  t.equal((await put(id, '')).status, 200)
  t.match(await get(id), { status: 200, text: '' })
})

t.test('conditions are checked', async (t) => {
  const { make, put, get, request: ask } = await startDocumentsApp(t)
  const id = await make()
  const isNew = { headers: { 'if-none-match': '*' } }
  t.match((await put(id, 'x', { headers: { 'if-match': '*' } })).json(), { status: 412, code: 'PRECONDITION_FAILED' })
  t.equal((await put(id, 'one', isNew)).status, 201)
  t.match((await put(id, 'two', isNew)).json(), { status: 412, code: 'PRECONDITION_FAILED' })
  const { etag } = (await get(id)).headers
  t.equal((await put(id, 'two', { headers: { 'if-match': etag ?? '' } })).status, 200)
  const late = { headers: { 'if-match': etag ?? '' } }
  t.equal((await put(id, 'three', late)).status, 412)
  t.equal((await ask('DELETE', `/documents/${id}`, late)).status, 412)
  t.equal((await get(id)).text, 'two')
  t.equal((await ask('DELETE', `/documents/${id}`, { headers: { 'if-none-match': '*' } })).status, 400)
  const now = { headers: { 'if-match': (await get(id)).headers.etag ?? '' } }
  t.equal((await ask('DELETE', `/documents/${id}`, now)).status, 204)
})

async function onDisk(t: Test) {
  const world = await startDocumentsApp(t)
  return { ...world, objects: world.stored }
}

async function inBucket(t: Test) {
  const world = await startBucketDocuments(t)
  return { ...world, objects: async () => [...world.fake.store.objects.keys()] }
}

for (const where of ['disk', 'a bucket'] as const) {
  t.test(`of two uploads to one document the one that ends last is stored as a whole (${where})`, async (t) => {
    const { make, begin, get, view, objects } = where === 'disk' ? await onDisk(t) : await inBucket(t)
    const id = await make('a.txt', 'before')
    const [slow, fast] = [
      begin(id, { headers: { 'content-length': 6 } }),
      begin(id, { headers: { 'content-length': 4 } })
    ]
    const heard = [readResponse(slow), readResponse(fast)]
    slow.write('slo')
    fast.end('fast')
    t.equal((await heard[1])?.status, 200)
    t.match([await view(id), (await get(id)).text], [{ size: 4 }, 'fast'])
    slow.end('wer')
    t.equal((await heard[0])?.status, 200)
    t.match([await view(id), (await get(id)).text], [{ size: 6 }, 'slower'])
    t.equal((await objects()).length, 1, 'the others are removed')
  })
}

t.test('of two conditional uploads one is refused and leaves nothing behind', async (t) => {
  const { make, begin, get, stored } = await startDocumentsApp(t)
  const id = await make()
  const isNew = { headers: { 'if-none-match': '*', 'content-length': 4 } }
  const both = [begin(id, isNew), begin(id, isNew)]
  const heard = both.map(readResponse)
  for (const each of both) each.write('ab')
  // Both requests have checked by now: neither found content.
  await until(async () => (await stored()).length === 2)
  for (const each of both) each.end('cd')
  t.same((await Promise.all(heard)).map(({ status }) => status).sort(), [201, 412])
  t.equal((await get(id)).text, 'abcd')
  t.equal((await stored()).length, 1)
})

t.test('twenty concurrent uploads leave one object, and a document with its size', async (t) => {
  const { make, put, get, view, stored } = await startDocumentsApp(t)
  const id = await make()
  const answers = await Promise.all(Array.from({ length: 20 }, (_, count) => put(id, 'x'.repeat(count + 1))))
  t.ok(answers.every(({ status }) => status < 300))
  t.equal((await view(id)).size, (await get(id)).text.length)
  t.equal((await stored()).length, 1)
})

t.test('a document that is removed during an upload stays removed, together with the uploaded content', async (t) => {
  const { make, begin, request: ask, stored, list } = await startDocumentsApp(t)
  const id = await make('a.txt', 'hello')
  const asked = begin(id, { headers: { 'content-length': 4 } })
  const heard = readResponse(asked)
  asked.write('ab')
  await until(async () => (await stored()).length === 2)
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 204)
  asked.end('cd')
  t.match((await heard).json(), { status: 404, code: 'DOCUMENT_NOT_FOUND' })
  t.same(await stored(), [])
  t.same((await list()).documents, [])
})

t.test('content that is uploaded while its document is being removed is removed too', async (t) => {
  const { fake, make, put, request: ask, list } = await startBucketDocuments(t)
  const id = await make('a.txt', 'hello')
  let isReplaced = false
  fake.script = ({ operation }, response) => {
    if (operation !== 'DeleteObject' || isReplaced) return false
    isReplaced = true
    // The new content is uploaded while the store deletes the old one.
    void put(id, 'newer').then(() => response.writeHead(204).end())
    return true
  }
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 204)
  t.ok(isReplaced)
  t.same((await list()).documents, [])
  t.equal([...fake.store.objects.values()].filter(({ content }) => String(content) === 'newer').length, 0)
})

t.test('a reader whose object has just been replaced receives the new content', async (t) => {
  const { fake, make, put, get, request: ask } = await startBucketDocuments(t)
  const id = await make('a.txt', 'old')
  let isReplaced = false
  fake.script = ({ operation, key }, response) => {
    if (!['GetObject', 'HeadObject'].includes(operation) || isReplaced) return false
    isReplaced = true
    void put(id, 'newer').then(() => {
      sendError(operation === 'HeadObject' ? 'HEAD' : 'GET', response, 404, `NoSuchKey`)
    })
    return key !== ''
  }
  t.match(await get(id), { status: 200, text: 'newer' })
  isReplaced = false
  t.match((await ask('HEAD', contentPath(id))).headers, { 'content-length': '5' })
})

t.test('a full or unavailable store leaves the document unchanged', async (t) => {
  const { fake, make, put, get, view, request: ask } = await startBucketDocuments(t)
  const id = await make('a.txt', 'hello')
  const before = await view(id)
  fake.script = ({ operation, method }, response) => {
    if (operation !== 'PutObject') return false
    sendError(method, response, 507, 'XMinioStorageFull')
    return true
  }
  t.match((await put(id, 'larger')).json(), { status: 507, code: 'QUOTA_EXCEEDED' })
  t.same(await view(id), before)
  fake.script = ({ operation, method }, response) => {
    if (operation !== 'DeleteObject') return false
    sendError(method, response, 403, 'AccessDenied')
    return true
  }
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 403)
  t.same(await view(id), before, 'it can be removed later')
  fake.script = () => undefined
  t.equal((await get(id)).text, 'hello')
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 204)
})

t.test('an old object that cannot be removed is logged and fails nothing', async (t) => {
  const { fake, make, put, get, log } = await startBucketDocuments(t, { config: { logLevel: 'warn' } })
  const id = await make('a.txt', 'hello')
  const [old = ''] = fake.store.objects.keys()
  fake.script = ({ operation, method }, response) => {
    if (operation !== 'DeleteObject') return false
    sendError(method, response, 403, 'AccessDenied')
    return true
  }
  t.equal((await put(id, 'newer')).status, 200)
  t.equal((await get(id)).text, 'newer')
  t.match(log.text, old.slice('kept/'.length))
  t.match(log.text, 'the store contains an object without a document')
})

t.test('an object stays if it is unknown whether the document refers to it', async (t) => {
  const isDown = { now: false }
  const { make, begin, stored, log } = await startDocumentsApp(t, {
    config: { logLevel: 'warn' },
    database: (database) => failingUpdates(database, isDown)
  })
  const id = await make('a.txt', 'hello')
  const asked = begin(id, { headers: { 'content-length': 4 } })
  const heard = readResponse(asked)
  isDown.now = true
  asked.end('four')
  t.match((await heard).json(), { status: 503, code: 'DATABASE_UNAVAILABLE' })
  t.equal((await stored()).length, 2)
  t.match(log.text, 'the store may contain an uploaded object without a document')
})

function failingUpdates(database: Database, isDown: { now: boolean }): Database {
  const document = new Proxy(database.prisma.document, {
    get: (table, name) =>
      isDown.now && name === 'updateManyAndReturn'
        ? async () => Promise.reject(Object.assign(new Error('lost'), { code: 'P1017' }))
        : (Reflect.get(table, name) as unknown)
  })
  const prisma = new Proxy(database.prisma, {
    get: (client, name) => (name === 'document' ? document : (Reflect.get(client, name) as unknown))
  })
  return { ...database, prisma }
}

t.test('a cloud file is replaced in place, and its listings are reloaded', async (t) => {
  const backend = new WritableBackend()
  const file = backend.add('a.txt', { size: 1 })
  const { sendJson: send, put, request: ask, view, connectionId } = await startDocumentsApp(t, { backend })
  const body = { provider: 'object', connectionId: await connectionId(), objectKey: file.id }
  const { id } = (await send('POST', '/documents', body)).json() as { id: string }
  const cached = async () => (await ask('GET', '/cloud/object/listing')).headers['cache-status']
  await cached()
  t.match(await cached(), /hit/)
  t.equal((await put(id, 'hello')).status, 200)
  t.match(await view(id), { size: 5, hasContent: true })
  t.equal(backend.entries.get(file.id)?.size, 5)
  t.match(await cached(), /fwd=miss/)

  t.match((await put(id, 'x', { headers: { 'if-none-match': '*' } })).json(), { status: 412 })
  t.match((await put(id, 'x', { headers: { 'if-match': '"other"' } })).json(), { status: 412 })
  const version = backend.entries.get(file.id)?.version ?? ''
  t.equal((await put(id, 'four', { headers: { 'if-match': `"${version}"` } })).status, 200)
  backend.entries.delete(file.id)
  t.match((await put(id, 'x')).json(), { status: 404, code: 'OBJECT_NOT_FOUND' })
  t.equal(backend.entries.size, 0, 'no file is created')
})

t.test('a cloud without uploads or versions answers with an error that says so', async (t) => {
  const { sendJson: send, put, connectionId, make, get } = await startDocumentsApp(t)
  const body = { provider: 'object', connectionId: await connectionId(), objectKey: 'k' }
  const { id } = (await send('POST', '/documents', body)).json() as { id: string }
  t.match((await put(id, 'x')).json(), { status: 501, code: 'UNSUPPORTED' })
  t.equal((await get(await make('b', 'ours'))).text, 'ours')

  const backend = new WritableBackend({ updateIfMatch: 'unsupported' })
  const file = backend.add('a.txt')
  const other = await startDocumentsApp(t, { backend })
  const kept = { provider: 'object', connectionId: await other.connectionId(), objectKey: file.id }
  const made = (await other.sendJson('POST', '/documents', kept)).json() as { id: string }
  t.match((await other.put(made.id, 'x', { headers: { 'if-match': '*' } })).json(), { status: 501 })
})
