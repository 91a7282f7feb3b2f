import { SpanStatusCode, trace } from '@opentelemetry/api'
import t from 'tap'
import { StorageError } from '../../src/domain/errors.ts'
import { testApp } from '../support/app.ts'
import { recordSpans } from '../support/recorded-spans.ts'
import { refreshApp } from '../support/refresh-app.ts'
import { entry, page } from '../support/scripted-backend.ts'

/** As the host's instrumentation of Fastify would: a span around each request. */
function inRequestSpan<T>(work: () => Promise<T>): Promise<T> {
  return trace.getTracer('host').startActiveSpan('request', async (span) => {
    try {
      return await work()
    } finally {
      span.end()
    }
  })
}

t.test('a load is a span below that of the request, and a hit is none', async (t) => {
  const spans = recordSpans(t)
  const { as, connect, scripted } = await testApp(t)
  const id = await connect('user-4711', 'account-4711')
  scripted.backend.list = async () => page([entry('file-4711')])
  const list = () => inRequestSpan(async () => as('user-4711').get('/cloud/scripted/listing?folder=folder-4711'))
  const connecting = spans.length
  t.same(
    spans.map(({ name }) => name),
    ['cloud_storage.account']
  )
  t.equal((await list()).statusCode, 200)
  t.equal((await list()).statusCode, 200)
  const [first, load, second, ...more] = spans.slice(connecting)
  t.match([first, load, second], [{ name: 'request' }, { name: 'cloud_storage.list_folder' }, { name: 'request' }])
  t.same(more, [])
  t.equal(load?.parent, first)
  t.same(load?.attributes, { 'cloud_storage.provider': 'scripted' })
  const told = JSON.stringify(
    spans.map(({ name, attributes, status, events }) => ({ name, attributes, status, events }))
  )
  t.notMatch(told, /4711/)
  t.notOk(told.includes(id))
})

t.test('a load that fails is one span with its code, however often it is tried', async (t) => {
  // Retries wait for no time at all.
  t.intercept(Math, 'random', { value: () => 0 })
  const spans = recordSpans(t)
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  scripted.backend.list = async () => {
    if (scripted.backend.listed.length === 1) throw new StorageError('PROVIDER_UNAVAILABLE', 'secret')
    throw new StorageError('FOLDER_NOT_FOUND', 'secret', { cause: new Error('secret') })
  }
  t.equal((await as('ann').get('/cloud/scripted/listing')).statusCode, 404)
  t.equal(scripted.backend.listed.length, 2)
  const loads = spans.filter(({ name }) => name === 'cloud_storage.list_folder')
  t.equal(loads.length, 1)
  t.match(loads[0], { status: { code: SpanStatusCode.ERROR }, events: [], ends: 1 })
  t.same(loads[0]?.attributes, { 'cloud_storage.provider': 'scripted', 'error.type': 'FOLDER_NOT_FOUND' })
})

t.test('the refresh of a token is a span below the call that needs it', async (t) => {
  const spans = recordSpans(t)
  const { oauth, rows, list } = await refreshApp(t)
  await rows.add(oauth.issueGrant(), { leftMs: -1000 })
  t.equal((await inRequestSpan(async () => list())).statusCode, 200)
  const [request, load, refresh, ...more] = spans
  t.match(
    [request, load, refresh],
    [
      { name: 'request', ends: 1 },
      { name: 'cloud_storage.list_folder', ends: 1 },
      { name: 'cloud_storage.refresh_token', ends: 1 }
    ]
  )
  t.same(more, [])
  t.equal(load?.parent, request)
  t.equal(refresh?.parent, load)
  t.same(refresh?.attributes, { 'cloud_storage.provider': 'cloud' })
})

t.test('the storage of a document is traced, a managed store as such', async (t) => {
  const spans = recordSpans(t)
  const { app } = await testApp(t, {
    managed: { 'store-4711': { type: 'disk', directory: t.testdir({ a: 'content' }) } }
  })
  await app.ready()
  const document = { id: '1', userId: 'ann', storageBackend: 'store-4711', objectKey: 'a' }
  const backend = await app.getStorageBackendForDocument(document, { id: 'ann' })
  const { body } = await backend.download('a', { signal: new AbortController().signal })
  t.match(spans, [{ name: 'cloud_storage.download', ends: 1 }], 'ended before its body is read')
  t.same(spans[0]?.attributes, { 'cloud_storage.provider': 'managed' })
  body.destroy()
})
