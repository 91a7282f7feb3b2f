import t from 'tap'
import { databaseUnavailable } from '../../src/db/errors.ts'
import type { Database } from '../../src/db/open-database.ts'
import { startBucketDocuments, contentPath, startDocumentsApp } from '../support/app/documents-app.ts'
import { entry } from '../support/backend/scripted-backend.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

t.test('a document is created, uploaded, listed, downloaded and removed', async (t) => {
  const { sendJson: send, put, get, request: ask, list, view, stored } = await startDocumentsApp(t)
  const made = await send('POST', '/documents', { name: 'Müller & Söhne.txt', mimeType: 'text/plain' })
  t.equal(made.status, 201)
  const document = made.json() as { id: string }
  t.match(document, {
    name: 'Müller & Söhne.txt',
    mimeType: 'text/plain',
    size: null,
    provider: null,
    connectionId: null,
    objectKey: null,
    hasContent: false
  })
  t.equal(made.headers.location, `/documents/${document.id}`)
  t.match((await get(document.id)).json(), { status: 404, code: 'OBJECT_NOT_FOUND', detail: /no content yet/ })
  t.same(await stored(), [])

  const uploaded = await put(document.id, 'hello', { headers: { 'content-type': 'text/html' } })
  t.equal(uploaded.status, 201)
  t.match(uploaded.json(), { id: document.id, size: 5, hasContent: true, mimeType: 'text/html' })
  t.same(await view(document.id), uploaded.json())
  t.same((await list()).documents, [uploaded.json()])
  const got = await get(document.id)
  t.match(got, { status: 200, text: 'hello' })
  t.match(got.headers, { 'content-type': 'text/html', 'content-disposition': /^attachment; .*M%C3%BCller/ })

  t.equal((await put(document.id, 'again')).status, 200)
  t.equal((await get(document.id)).text, 'again')
  t.equal((await view(document.id)).mimeType, 'text/html', 'an upload without a type keeps the known type')
  t.equal((await stored()).length, 1, 'the old content is removed')

  const removed = await ask('DELETE', `/documents/${document.id}`)
  t.match(removed, { status: 204, text: '' })
  t.same(await stored(), [])
  t.same((await list()).documents, [])
  t.match((await ask('DELETE', `/documents/${document.id}`)).json(), { code: 'DOCUMENT_NOT_FOUND' })
})

t.test('HEAD has the headers of GET', async (t) => {
  const { make, get, request: ask } = await startDocumentsApp(t)
  const id = await make('a.txt', 'hello')
  const [head, whole] = [await ask('HEAD', contentPath(id)), await get(id)]
  t.match(head, { status: 200, text: '' })
  for (const name of ['content-length', 'content-type', 'etag', 'content-disposition']) {
    t.equal(head.headers[name], whole.headers[name], name)
  }
  t.equal((await ask('HEAD', contentPath(await make()))).status, 404)
  t.equal((await ask('HEAD', '/documents')).status, 200)
})

t.test('paging continues at its position, although documents are added and removed', async (t) => {
  const { make, list, request: ask, database, sendJson: send } = await startDocumentsApp(t)
  const ids: string[] = []
  for (let count = 0; count < 5; count++) ids.unshift(await make(`${count}.txt`))
  // With equal times, they are ordered by ID.
  await database.prisma.document.updateMany({ data: { createdAt: new Date('2026-01-02T03:04:05.678Z') } })
  const all = (await list()).documents.map(({ id }) => id)
  t.same([...all].sort(), [...ids].sort())

  const first = await list('?limit=2')
  t.same(
    first.documents.map(({ id }) => id),
    all.slice(0, 2)
  )
  await make('newer.txt')
  await ask('DELETE', `/documents/${all[1] ?? ''}`)
  const second = await list(`?limit=2&cursor=${first.page.next ?? ''}`)
  t.same(
    second.documents.map(({ id }) => id),
    all.slice(2, 4)
  )
  const third = await list(`?limit=2&cursor=${second.page.next ?? ''}`)
  t.same(
    third.documents.map(({ id }) => id),
    all.slice(4)
  )
  t.equal(third.page.next, null)
  t.equal((await list('?limit=1')).documents[0]?.name, 'newer.txt')
  t.equal((await list('?limit=5')).page.next, null, 'there is no empty last page')

  const of = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  for (const cursor of [
    'x',
    of({}),
    of([1]),
    of(['1', 'a']),
    of([-1, 'a']),
    of([9e15, 'a']),
    of([1, 'a\0']),
    of([1, 'a', 2])
  ]) {
    const answer = await ask('GET', `/documents?cursor=${cursor}`)
    t.match(answer.json(), { status: 400, code: 'INVALID_CURSOR' }, cursor)
  }
  for (const query of ['limit=0', 'limit=201', 'limit=x', 'page=2', 'cursor=']) {
    t.match((await ask('GET', `/documents?${query}`)).json(), { status: 400, code: 'INVALID_REQUEST' }, query)
  }
  const bob = await send('GET', `/documents?cursor=${first.page.next ?? ''}`, {}, { user: 'bob' })
  t.match(bob.json(), { documents: [] })
})

t.test('documents of other users are treated like unknown ones', async (t) => {
  const { make, request: ask, sendJson: send, list, get, stored } = await startDocumentsApp(t)
  const id = await make('a.txt', 'hello')
  const bob = { user: 'bob' }
  for (const [method, path] of [
    ['GET', `/documents/${id}`],
    ['GET', contentPath(id)],
    ['PUT', contentPath(id)],
    ['DELETE', `/documents/${id}`],
    ['GET', '/documents/none'],
    ['DELETE', '/documents/a%00b']
  ] as const) {
    const answer = await ask(method, path, method === 'PUT' ? { ...bob, body: 'bob' } : bob)
    t.match(answer.json(), { status: 404, code: 'DOCUMENT_NOT_FOUND' }, `${method} ${path}`)
  }
  t.equal((await ask('HEAD', contentPath(id), bob)).status, 404)
  t.same((await list('', bob)).documents, [])
  t.equal((await get(id)).text, 'hello')
  t.equal((await stored()).length, 1)
  t.same((await send('POST', '/documents', { name: 'b.txt' }, bob)).status, 201)
  t.equal((await list()).documents.length, 1)
})

t.test('an anonymous request is refused, and a page of another site changes nothing', async (t) => {
  const { make, request: ask, sendJson: send, get, list } = await startDocumentsApp(t)
  const id = await make('a.txt', 'hello')
  for (const [method, path] of [
    ['GET', '/documents'],
    ['POST', '/documents'],
    ['GET', `/documents/${id}`],
    ['GET', contentPath(id)],
    ['PUT', contentPath(id)],
    ['DELETE', `/documents/${id}`]
  ] as const) {
    const answer = await ask(method, path, { headers: { authorization: 'Bearer x' } })
    t.match(
      answer,
      { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } },
      `${method} ${path}`
    )
  }
  // Only bearer tokens are exempt: unlike cookies, browsers do not add them automatically.
  const cookie = 'session=x'
  for (const sent of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
    const headers = { ...sent, cookie }
    t.match((await send('POST', '/documents', { name: 'b' }, { headers })).json(), { status: 403, code: 'CROSS_SITE' })
    t.match((await ask('PUT', contentPath(id), { headers, body: 'evil' })).json(), { code: 'CROSS_SITE' })
    t.match((await ask('DELETE', `/documents/${id}`, { headers })).json(), { code: 'CROSS_SITE' })
  }
  t.equal((await get(id, { headers: { origin: 'https://evil.example' } })).text, 'hello', 'reading is left to CORS')
  t.equal((await list()).documents.length, 1)
})

t.test('requests from the public URL are same-origin', async (t) => {
  const { sendJson: send } = await startDocumentsApp(t, { config: { publicUrl: 'https://files.example' } })
  const from = (origin: string) =>
    send('POST', '/documents', { name: 'b' }, { headers: { origin, cookie: 'session=x' } })
  t.equal((await from('https://files.example')).status, 201)
  t.equal((await from('https://files.example.evil')).status, 403)
})

t.test('an invalid document is refused, and the error names the problem', async (t) => {
  const { sendJson: send, request: ask, list } = await startDocumentsApp(t)
  const kept = { provider: 'object', connectionId: 'c', objectKey: 'k' }
  const wrong: object[] = [
    {},
    [],
    { name: '' },
    { name: 5 },
    { name: 'x'.repeat(256) },
    { name: 'a\0b' },
    { name: 'a\ud800' },
    { name: 'a', mimeType: 'text' },
    { name: 'a', mimeType: 'text/plain\r\nx: y' },
    { name: 'a', size: 5 },
    { name: 'a', objectKey: 'k' },
    { ...kept, objectKey: undefined },
    { ...kept, objectKey: 'a\0' },
    { ...kept, connectionId: 'a\0' },
    { ...kept, mimeType: 'text/plain' }
  ]
  for (const body of wrong) {
    t.match(
      (await send('POST', '/documents', body)).json(),
      { status: 400, code: 'INVALID_REQUEST' },
      JSON.stringify(body)
    )
  }
  t.equal((await ask('POST', '/documents', { body: 'name=a' })).status, 415)
  t.match((await ask('POST', '/documents')).json(), { status: 400 })
  t.match((await send('POST', '/documents?x=1', { name: 'a' })).json(), { status: 400 })
  const large = await send('POST', '/documents', { name: 'a', mimeType: 'x'.repeat(70_000) })
  t.match(large.json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  t.same((await list()).documents, [])
})

t.test('a cloud file is registered with the metadata of the cloud and is not deleted with its document', async (t) => {
  const backend = new WritableBackend()
  const file = backend.add('Report.pdf', { size: 12, mimeType: 'application/pdf' })
  const folder = backend.add('Folder', { kind: 'folder' })
  const native = backend.add('Plan', { size: null, exportFormats: [{ mimeType: 'application/pdf', extension: 'pdf' }] })
  const { sendJson: send, request: ask, connectionId, list } = await startDocumentsApp(t, { backend })
  const keep = async (objectKey: string, over: object = {}) =>
    send('POST', '/documents', { provider: 'object', connectionId: await connectionId(), objectKey, ...over })

  const kept = await keep(file.id)
  t.equal(kept.status, 201)
  const place = { provider: 'object', connectionId: await connectionId(), objectKey: file.id, hasContent: true }
  t.match(kept.json(), { name: 'Report.pdf', size: 12, mimeType: 'application/pdf', ...place })
  t.match((await keep(file.id, { name: 'Mine' })).json(), { name: 'Mine' })
  t.match((await keep(native.id)).json(), { name: 'Plan.pdf', size: null, mimeType: 'application/pdf' })
  t.match((await keep(native.id, { name: 'Mine' })).json(), { name: 'Mine.pdf', mimeType: 'application/pdf' })
  t.match((await keep(native.id, { name: 'Mine.PDF' })).json(), { name: 'Mine.PDF' })

  t.match((await keep(folder.id)).json(), { status: 400, code: 'INVALID_REQUEST', detail: /objectKey/ })
  t.match((await keep('none')).json(), { status: 404, code: 'OBJECT_NOT_FOUND' })
  t.match((await keep(file.id, { provider: 'nothing' })).json(), { status: 404, code: 'PROVIDER_UNKNOWN' })
  t.match((await keep(file.id, { connectionId: 'other' })).json(), { status: 404, code: 'CONNECTION_NOT_FOUND' })
  t.match((await keep(file.id, { provider: 's3' })).json(), { status: 404, code: 'CONNECTION_NOT_FOUND' })

  const { id } = kept.json() as { id: string }
  await ask('DELETE', '/cloud/connections')
  t.match((await ask('GET', contentPath(id))).json(), { status: 503, code: 'CONNECTION_MISSING' })
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 204, 'it can be removed without its connection')
  t.ok(backend.entries.has(file.id))
  t.equal((await list()).documents.length, 4)
})

t.test('no document can be registered for an object in the server’s own store', async (t) => {
  const { sendJson: send, make, stored, list } = await startDocumentsApp(t)
  await make('secret.txt', 'of another user')
  const [path = ''] = await stored()
  for (const user of ['ann', 'bob']) {
    const body = { provider: 'minio', connectionId: 'any', objectKey: path }
    const answer = await send('POST', '/documents', body, { user })
    t.match(answer.json(), { status: 404, code: 'PROVIDER_UNKNOWN' }, user)
  }
  t.same((await list('', { user: 'bob' })).documents, [])
})

t.test('object keys contain neither users nor names', async (t) => {
  const { make, fake, get, request: ask } = await startBucketDocuments(t)
  const id = await make('../../etc/passwd', 'hello')
  const keys = [...fake.store.objects.keys()]
  t.match(keys, [/^kept\/documents\/[0-9a-f-]{36}$/])
  t.equal(keys.length, 1)
  t.equal((await get(id)).text, 'hello')
  t.equal((await get(id, { headers: { range: 'bytes=1-2' } })).text, 'el')
  t.equal((await ask('DELETE', `/documents/${id}`)).status, 204)
  t.equal(fake.store.objects.size, 0)
})

t.test('without transfers documents can be read, registered and removed, and the list reports it', async (t) => {
  const { sendJson: send, put, list, request: ask, add } = await startDocumentsApp(t, { config: { transfers: false } })
  t.equal((await list()).uploads, null)
  await add({ text: 'hello' })
  const [document] = (await list()).documents
  t.equal((await ask('GET', contentPath(document?.id ?? ''))).text, 'hello')
  t.equal((await put(document?.id ?? '', 'x')).status, 404)
  t.match((await send('POST', '/documents', { name: 'a' })).json(), { status: 501, code: 'UNSUPPORTED' })
  t.equal((await ask('DELETE', `/documents/${document?.id ?? ''}`)).status, 204)
})

t.test('the list contains the maximum size of an upload', async (t) => {
  const { list } = await startDocumentsApp(t, { config: { transfers: { maxBytes: 1000 } } })
  t.same((await list()).uploads, { maxBytes: 1000 })
})

t.test('a database timeout answers 503 on every route', async (t) => {
  const isDown = { now: false }
  const {
    make,
    request: ask,
    sendJson: send,
    put
  } = await startDocumentsApp(t, { database: (database) => sometimesDown(database, isDown) })
  const id = await make('a.txt', 'hello')
  isDown.now = true
  const answers = [
    await ask('GET', '/documents'),
    await ask('GET', `/documents/${id}`),
    await send('POST', '/documents', { name: 'b' }),
    await put(id, 'x'),
    await ask('DELETE', `/documents/${id}`)
  ]
  for (const answer of answers) t.match(answer.json(), { status: 503, code: 'DATABASE_UNAVAILABLE' })
})

/** Its documents fail like a lost connection while it is down. */
function sometimesDown(database: Database, isDown: { now: boolean }): Database {
  const document = new Proxy(database.prisma.document, {
    get: (table, name) => {
      if (isDown.now)
        return async () => Promise.reject(databaseUnavailable(Object.assign(new Error(), { code: 'P1017' })))
      return Reflect.get(table, name) as unknown
    }
  })
  const prisma = new Proxy(database.prisma, {
    get: (client, name) => (name === 'document' ? document : (Reflect.get(client, name) as unknown))
  })
  return { ...database, prisma }
}

t.test('an entry without metadata can be registered', async (t) => {
  const backend = new WritableBackend()
  backend.entries.set('x', entry('x', { size: null, mimeType: null, version: null }))
  const { sendJson: send, connectionId } = await startDocumentsApp(t, { backend })
  const body = { provider: 'object', connectionId: await connectionId(), objectKey: 'x' }
  t.match((await send('POST', '/documents', body)).json(), { name: 'x', size: null, mimeType: null })
})
