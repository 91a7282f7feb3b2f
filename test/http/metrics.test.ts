import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import { Diagnosis, StorageError } from '../../src/errors.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { recordSpans } from '../support/backend/recorded-spans.ts'
import { refreshApp } from '../support/refresh/app.ts'

const LISTING = '/cloud/scripted/listing'
const USER = 'user-4711'
const FOLDER = 'folder-4711'
const FILE = 'file-4711.pdf'
/** Longer than any call may take, so retries give up at once. */
const FOR_LONG = { retryAfterMs: 3_000_000 }

async function countedApp(t: Test, registry: Registry, options: Partial<CloudStorageOptions> = {}) {
  const testing = await testApp(t, { metrics: { registry }, ...options })
  testing.scripted.backend.list = async () => page([entry(FILE)])
  await testing.app.ready()
  return { ...testing, list: (query = '') => testing.as(USER).get(`${LISTING}${query}`) }
}

/** Returns the value of one series, or `undefined` if it does not exist. */
async function valueOf(registry: Registry, series: string): Promise<number | undefined> {
  const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length))
}

t.test('a first listing counts as a miss and a load, and the second as a hit', async (t) => {
  const registry = new Registry()
  const { list, connect } = await countedApp(t, registry)
  await connect(USER)
  for (const status of [200, 200]) t.equal((await list(`?folder=${FOLDER}`)).statusCode, status)
  t.equal(await valueOf(registry, 'cloud_storage_cache_misses_total'), 1)
  t.equal(await valueOf(registry, 'cloud_storage_cache_loads_total'), 1)
  t.equal(await valueOf(registry, 'cloud_storage_cache_hits_total'), 1)
  t.equal(await valueOf(registry, 'cloud_storage_cache_joins_total'), 0)
  t.equal(await valueOf(registry, 'cloud_storage_cache_entries'), 1)
  t.equal(await valueOf(registry, 'cloud_storage_cache_in_flight'), 0)
  t.ok(Number(await valueOf(registry, 'cloud_storage_cache_bytes')) > 100)
  t.match(await registry.metrics(), '# TYPE cloud_storage_load_seconds histogram')

  await list(`?folder=${FOLDER}&refresh=true`)
  t.equal(await valueOf(registry, 'cloud_storage_cache_invalidations_total'), 1)
})

t.test('each throttling response of a provider is counted once', async (t) => {
  const registry = new Registry()
  const { list, connect, scripted } = await countedApp(t, registry)
  await connect(USER)
  scripted.backend.list = () => Promise.reject(new StorageError('PROVIDER_THROTTLED', '', FOR_LONG))
  const series = 'cloud_storage_throttles_total{provider="scripted"}'
  t.equal(await valueOf(registry, series), 0)
  for (const folder of ['a', 'b', 'c']) t.equal((await list(`?folder=${folder}`)).statusCode, 503)
  t.equal(scripted.backend.listCalls.length, 1)
  t.equal(await valueOf(registry, series), 1)
})

t.test('an unavailable provider opens a breaker, which is shown until the connection is removed', async (t) => {
  const registry = new Registry()
  const { as, list, connect, scripted } = await countedApp(t, registry)
  const id = await connect(USER)
  const open = 'cloud_storage_breakers{provider="scripted",state="open"}'
  t.equal(await valueOf(registry, open), 0)
  scripted.backend.list = () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', '', FOR_LONG))
  for (let call = 0; call < 5; call += 1) await list(`?folder=f${call}`)
  t.equal(await valueOf(registry, open), 1)
  t.equal(await valueOf(registry, 'cloud_storage_breakers{provider="scripted",state="half_open"}'), 0)
  t.equal((await as(USER).send('DELETE', `/cloud/connections/${id}`)).statusCode, 204)
  t.equal(await valueOf(registry, open), 0)
})

t.test('throttling by a managed store is counted as managed, whatever its name', async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(503, { 'retry-after': '3000' }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const credentials = { accessKeyId: 'a', secretAccessKey: 's' }
  const registry = new Registry()
  const { app } = await countedApp(t, registry, {
    managed: { 'store-4711': { type: 's3', bucket: 'bucket', endpoint, credentials } }
  })
  const document = { id: '1', userId: USER, storageBackend: 'store-4711', objectKey: FILE }
  const backend = await app.getStorageBackendForDocument(document, { id: USER })
  const { signal } = new AbortController()
  await t.rejects(backend.stat(FILE, { signal }), { code: 'PROVIDER_THROTTLED' })
  t.equal(await valueOf(registry, 'cloud_storage_throttles_total{provider="managed"}'), 1)
  t.notMatch(await registry.metrics(), /-4711/)
})

t.test('two apps share the counters of one registry, which survive the closing of one app', async (t) => {
  const registry = new Registry()
  const one = await countedApp(t, registry)
  const other = await countedApp(t, registry)
  await one.connect(USER)
  for (const app of [one, one, other]) t.equal((await app.list()).statusCode, 200)
  const counted = async () => [
    await valueOf(registry, 'cloud_storage_cache_misses_total'),
    await valueOf(registry, 'cloud_storage_cache_hits_total'),
    await valueOf(registry, 'cloud_storage_cache_entries')
  ]
  t.same(await counted(), [2, 1, 2])
  await one.list()
  await one.app.close()
  t.same(await counted(), [2, 2, 1])
  await other.app.close()
  t.same(await counted(), [2, 2, undefined])
  t.equal(await valueOf(registry, 'cloud_storage_breakers{provider="scripted",state="open"}'), undefined)
})

t.test('metrics contain no user, connection, folder or file', async (t) => {
  const registry = new Registry()
  const { as, list, connect, scripted } = await countedApp(t, registry)
  const id = await connect(USER, 'account-4711')
  await list(`?folder=${FOLDER}`)
  scripted.backend.list = () => Promise.reject(new StorageError('FOLDER_NOT_FOUND', `${USER} ${FOLDER} ${FILE}`))
  await list(`?folder=${FOLDER}-gone`)
  scripted.backend.list = () => Promise.reject(new StorageError('PROVIDER_THROTTLED', USER, FOR_LONG))
  await list('?folder=other-4711')
  await as(USER).send('DELETE', `/cloud/connections/${id}`)
  const scraped = await registry.metrics()
  t.match(scraped, 'cloud_storage_throttles_total{provider="scripted"} 1')
  // With the hyphen: the digits alone can occur in a sum of seconds.
  t.notMatch(scraped, /-4711/)
  t.notOk(scraped.includes(id))
  const labels = [...scraped.matchAll(/(\w+)="([^"]*)"/g)].filter(([, name]) => name === 'provider')
  t.same([...new Set(labels.map(([, , provider]) => provider))].sort(), ['managed', 'scripted'])
})

/** Runs `work` in a request span, like the host's Fastify instrumentation. */
function inRequestSpan<T>(work: () => Promise<T>): Promise<T> {
  return trace.getTracer('host').startActiveSpan('request', async (span) => {
    try {
      return await work()
    } finally {
      span.end()
    }
  })
}

t.test('a load has a span below that of the request, and a hit has none', async (t) => {
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
  t.notMatch(told, /-4711/)
  t.notOk(told.includes(id))
})

t.test('a failed load is one span with its code, however many attempts it takes', async (t) => {
  // Retries do not wait.
  t.intercept(Math, 'random', { value: () => 0 })
  const spans = recordSpans(t)
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  scripted.backend.list = async () => {
    if (scripted.backend.listCalls.length === 1) throw new StorageError('PROVIDER_UNAVAILABLE', 'secret')
    throw new StorageError('FOLDER_NOT_FOUND', 'secret', { cause: new Error('secret') })
  }
  t.equal((await as('ann').get('/cloud/scripted/listing')).statusCode, 404)
  t.equal(scripted.backend.listCalls.length, 2)
  const loads = spans.filter(({ name }) => name === 'cloud_storage.list_folder')
  t.equal(loads.length, 1)
  t.match(loads[0], { status: { code: SpanStatusCode.ERROR }, events: [], endCount: 1 })
  t.same(loads[0]?.attributes, { 'cloud_storage.provider': 'scripted', 'error.type': 'FOLDER_NOT_FOUND' })
})

t.test('a token refresh has a span below the call that needs it', async (t) => {
  const spans = recordSpans(t)
  const { oauth, rows, list } = await refreshApp(t)
  await rows.add(oauth.issueGrant(), { leftMs: -1000 })
  t.equal((await inRequestSpan(async () => list())).statusCode, 200)
  const [request, load, refresh, ...more] = spans
  t.match(
    [request, load, refresh],
    [
      { name: 'request', endCount: 1 },
      { name: 'cloud_storage.list_folder', endCount: 1 },
      { name: 'cloud_storage.refresh_token', endCount: 1 }
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
  t.match(spans, [{ name: 'cloud_storage.download', endCount: 1 }], 'the span ends before the body is read')
  t.same(spans[0]?.attributes, { 'cloud_storage.provider': 'managed' })
  body.destroy()
})

t.test('the log has what an operator needs, and no text of an upstream', async (t) => {
  const lines: string[] = []
  const { as, connect, scripted } = await testApp(
    t,
    {},
    { logger: { stream: { write: (line: string) => lines.push(line) } } }
  )
  await connect('ann')
  const upstream = Object.assign(new Error('Bearer SECRET'), {
    name: 'AccessDenied',
    code: 'E SECRET',
    $metadata: { httpStatusCode: 403 },
    config: { headers: { authorization: 'SECRET' } }
  })
  const failures: [StorageError, RegExp][] = [
    [
      new StorageError('SDK_MISSING', 'm', { cause: new Diagnosis('npm install x', { cause: upstream }) }),
      /npm install x/
    ],
    [new StorageError('PROVIDER_UNAVAILABLE', 'm', { cause: upstream }), /AccessDenied.*403/],
    [new StorageError('PROVIDER_ERROR', 'm', { cause: 'SECRET' }), /PROVIDER_ERROR/]
  ]
  for (const [failure, expected] of failures) {
    lines.length = 0
    scripted.backend.list = () => Promise.reject(failure)
    const answer = await as('ann').get('/cloud/scripted/listing')
    t.ok(answer.statusCode >= 500)
    t.match(lines.join(''), expected)
    t.notMatch(lines.join('') + answer.body, /SECRET/)
    t.notMatch(answer.body, /npm install/)
  }
  lines.length = 0
  scripted.backend.list = async () => page([entry('a')])
  await as('ann').get('/cloud/scripted/listing?folder=none')
  t.notMatch(lines.join(''), /"level":[45]0/, 'a success is not logged as a failure')
})
