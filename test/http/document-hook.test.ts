import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import cloudStorage, { type StoredDocument } from '../../src/index.ts'
import { encryption, scriptedProvider } from '../support/app/app.ts'
import { emptyDatabase } from '../support/database/database.ts'

async function make(t: Test) {
  const directory = await mkdtemp(join(tmpdir(), 'documents-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const documents: StoredDocument[] = [
    { id: 'managed', userId: 'ann', storageBackend: 'minio', objectKey: 'hello.txt' },
    { id: 'connected', userId: 'ann', storageBackend: 'scripted', objectKey: 'k' },
    { id: 'theirs', userId: 'bob', storageBackend: 'minio', objectKey: 'hello.txt' }
  ]
  const asked: string[] = []
  const app = Fastify({ pluginTimeout: 0 })
  t.teardown(() => app.close())
  await app.register(cloudStorage, {
    prisma: (await emptyDatabase()).prisma,
    authenticate: (request) => request.headers['x-user'] as string | undefined,
    encryption,
    managed: { minio: { type: 'disk', directory } },
    providers: { scripted: scriptedProvider().provider }
  })
  const hook = app.storageBackendHook({
    document: (request, user) => {
      asked.push(user.id)
      return documents.find(({ id }) => id === (request.params as { id: string }).id) ?? null
    }
  })
  app.get('/documents/:id', { preHandler: hook }, async (request) => {
    const { body } = await request.storageBackend.download(request.storageDocument.objectKey, {
      signal: new AbortController().signal
    })
    return text(body)
  })
  app.get('/bare', async (request) => request.storageBackend.provider)
  await app.ready()
  const signal = new AbortController().signal
  const store = await app.getStorageBackendForDocument(documents[0]!, { id: 'ann' })
  await store.upload?.({ parentId: null, name: 'hello.txt' }, Readable.from(['hello']), { signal })
  const get = (url: string, user?: string) => app.inject({ url, headers: user === undefined ? {} : { 'x-user': user } })
  return { app, get, asked }
}

t.test('the hook resolves the document of a request for its owner', async (t) => {
  const { get, asked } = await make(t)
  const own = await get('/documents/managed', 'ann')
  t.equal(own.body, 'hello')
  for (const [url, user] of [
    ['/documents/managed', 'bob'],
    ['/documents/theirs', 'ann'],
    ['/documents/none', 'ann']
  ] as const) {
    const refused = await get(url, user)
    t.equal(refused.statusCode, 404)
    t.match(refused.json(), { code: 'DOCUMENT_NOT_FOUND' }, 'the host’s error handler receives the status and the code')
  }
  asked.length = 0
  const nobody = await get('/documents/managed')
  t.equal(nobody.statusCode, 401)
  t.match(nobody.json(), { code: 'UNAUTHENTICATED' })
  t.same(asked, [], 'no document is looked up for an anonymous request')
})

t.test('a document without a connection answers 503 through the host’s error handler', async (t) => {
  const { get } = await make(t)
  const answer = await get('/documents/connected', 'ann')
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'CONNECTION_MISSING' })
})

t.test('a later failure in the host’s handler also has a status', async (t) => {
  const { app } = await make(t)
  const store = await app.getStorageBackendForDocument(
    { id: 'x', userId: 'ann', storageBackend: 'minio', objectKey: 'gone' },
    { id: 'ann' }
  )
  await t.rejects(store.download('gone', { signal: new AbortController().signal }), {
    code: 'OBJECT_NOT_FOUND',
    statusCode: 404
  })
})

t.test('reading the backend on a route without the hook fails with a clear error', async (t) => {
  const { get } = await make(t)
  const answer = await get('/bare', 'ann')
  t.equal(answer.statusCode, 500)
  t.match(answer.body, 'storageBackendHook')
})
