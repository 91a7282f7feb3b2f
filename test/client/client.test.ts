import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createCloudStorageClient, type FolderEvent, WatchError } from '../../src/client/index.ts'
import type { Entry, Listing } from '../../src/core/entry.ts'
import { scriptedProvider, testApp } from '../support/app/app.ts'
import { pages, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'
import { davTransfers } from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'

const ANN = { 'x-user': 'ann' }

async function scripted(t: Test, routePrefix = '/cloud', backend = new ScriptedBackend()) {
  const provider = scriptedProvider(backend).provider
  const { app } = await testApp(t, { routePrefix, transfers: true, providers: { scripted: provider } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const baseUrl = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}${routePrefix}`
  const client = createCloudStorageClient({ baseUrl, headers: ANN })
  const { data, response } = await client.POST('/connections/{id}', {
    params: { path: { id: 'scripted' } },
    // A host's own provider has fields that are not in the description.
    body: { account: 'main', token: 'a' } as never
  })
  t.equal(response.status, 201)
  return { backend, baseUrl, client, connection: data?.id ?? '' }
}

const LISTING = '/{provider}/listing'
const SCRIPTED = { provider: 'scripted' }

t.test('a folder is listed page by page', async (t) => {
  const { backend, client } = await scripted(t)
  backend.list = pages(3)
  const entries: Entry[] = []
  let cursor: string | null | undefined
  do {
    const query = { ...(cursor != null && { cursor }) }
    const { data, error } = await client.GET(LISTING, { params: { path: SCRIPTED, query } })
    if (error !== undefined) throw new Error(error.code)
    const listing: Listing = data
    entries.push(...listing.entries)
    cursor = listing.page.next
  } while (cursor !== null)
  t.same(
    entries.map(({ name }) => name),
    ['p1', 'p2', 'p3']
  )
})

t.test('an error is returned as data with a code, and nothing is thrown', async (t) => {
  const { client } = await scripted(t)
  const { data, error, response } = await client.GET(LISTING, { params: { path: { provider: 'unknown' } } })
  t.equal(data, undefined)
  t.equal(response.status, 404)
  if (error?.status !== 404) throw new Error('another error')
  const code:
    'PROVIDER_UNKNOWN' | 'FOLDER_NOT_FOUND' | 'OBJECT_NOT_FOUND' | 'CONNECTION_NOT_FOUND' | 'DOCUMENT_NOT_FOUND' =
    error.code
  t.equal(code, 'PROVIDER_UNKNOWN')
})

t.test('a rejection of `fetch` rejects the call', async (t) => {
  const client = createCloudStorageClient({ baseUrl: 'http://127.0.0.1:1/cloud' })
  await t.rejects(client.GET('/providers'), TypeError)
  const reason = new Error('enough')
  await t.rejects(client.GET('/providers', { signal: AbortSignal.abort(reason) }), reason)
})

t.test('content is uploaded and downloaded unchanged, whatever its name is', async (t) => {
  const { fake, app } = await davTransfers(t)
  const baseUrl = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/cloud/`
  const client = createCloudStorageClient({ baseUrl, headers: ANN })
  const name = 'ä & "ü" ?#%$&.bin'
  const content = Buffer.from([0, 255, 128, 10, 13])
  const path = { provider: 'webdav' }
  const stored = await client.PUT('/{provider}/content', {
    params: { path, query: { name }, header: { 'If-None-Match': '*' } },
    headers: { 'content-type': 'application/octet-stream' },
    body: content,
    bodySerializer: (body) => body
  })
  t.match(stored.data, { name, size: 5 })
  t.same(fake.tree.read(name), content)

  const again = await client.PUT('/{provider}/content', {
    params: { path, query: { name }, header: { 'If-None-Match': '*' } },
    body: content,
    bodySerializer: (body) => body
  })
  t.equal(again.error?.code, 'PRECONDITION_FAILED')

  const params = { path, query: { id: stored.data?.id ?? '' } }
  const { data, response } = await client.GET('/{provider}/content', { params, parseAs: 'arrayBuffer' })
  t.same(Buffer.from(data ?? new ArrayBuffer(0)), content)
  t.match(response.headers.get('content-disposition'), /^attachment/)

  const link = await fetch(client.urlOf('/{provider}/content', params), { headers: ANN })
  t.same(Buffer.from(await link.arrayBuffer()), content, 'a link leads to the same content')
})

t.test('routes are found under the prefix of the application', async (t) => {
  const { baseUrl, client } = await scripted(t, '/api/files')
  const { data } = await client.GET('/providers')
  t.match(data, { providers: [{ id: 'scripted' }] })
  t.equal((await client.GET(LISTING, { params: { path: SCRIPTED } })).response.status, 200)
  const url = client.urlOf(LISTING, { path: { provider: 'a/b' }, query: { folder: 'c&d', cursor: undefined } })
  t.equal(url, `${baseUrl}/a%2Fb/listing?folder=c%26d`)
})

t.test('a middleware sees each request and may replace it', async (t) => {
  const { client } = await scripted(t, '/files')
  const seen: string[] = []
  client.use({
    onRequest: ({ request, schemaPath }) => {
      seen.push(`${schemaPath} ${new URL(request.url).pathname}`)
      return new Request(request, { headers: { 'x-user': '' } })
    }
  })
  t.equal((await client.GET('/connections')).error?.code, 'UNAUTHENTICATED')
  t.same(seen, ['/connections /files/connections'])
})

t.test('getHeaders is called for each request, and the custom fetch sends it', async (t) => {
  const { baseUrl } = await scripted(t)
  const sent: string[] = []
  let token = 0
  const client = createCloudStorageClient({
    baseUrl,
    headers: { 'x-user': 'bob', 'x-other': 'stays' },
    getHeaders: async () => ({ 'x-user': `ann${++token}` }),
    fetch: (request) => {
      sent.push(`${request.headers.get('x-user')} ${request.headers.get('x-other')}`)
      return fetch(request)
    }
  })
  await client.GET('/connections')
  await client.GET('/connections')
  t.same(sent, ['ann1 stays', 'ann2 stays'])
})

t.test('a change by one client reaches another that watches the folder', async (t) => {
  const { baseUrl, client, connection } = await scripted(t, '/cloud', new WritableBackend())
  const other = createCloudStorageClient({ baseUrl, headers: ANN })
  const events: FolderEvent[] = []
  for await (const event of client.watchFolders({ connection, folders: ['root', 'a/é'] })) {
    if (event.type !== 'keep-alive') events.push(event)
    if (event.type === 'changed') break
    if (event.type !== 'open') continue
    const params = { path: SCRIPTED, query: { connection } }
    const { response } = await other.POST('/{provider}/folders', { params, body: { parentId: null, name: 'New' } })
    t.equal(response.status, 201)
  }
  t.strictSame(events, [
    { type: 'open' },
    { type: 'changed', provider: 'scripted', connectionId: connection, folder: 'root' }
  ])
})

t.test('a refused stream rejects with the problem, and a stream ends when its consumer stops', async (t) => {
  const { client, connection } = await scripted(t)
  const folders = ['root']
  const begin = async (id = connection, signal?: AbortSignal) => {
    const stream = client
      .watchFolders({ connection: id, folders }, { ...(signal && { signal }) })
      [Symbol.asyncIterator]()
    t.strictSame((await stream.next()).value, { type: 'open' })
    return stream
  }
  const missing = await begin('unknown').catch((error: unknown) => error)
  t.ok(missing instanceof WatchError)
  t.match(missing, {
    name: 'WatchError',
    status: 404,
    retryAfterSeconds: null,
    problem: { code: 'CONNECTION_NOT_FOUND' }
  })

  const controller = new AbortController()
  const aborted = await begin(connection, controller.signal)
  const streams = [await begin(), await begin(), await begin()]
  const isRefused = async (): Promise<boolean> => {
    const result = await begin().catch((error: unknown) => error)
    if (!(result instanceof WatchError)) {
      streams.push(result as Awaited<ReturnType<typeof begin>>)
      return false
    }
    t.match(result, { status: 429, problem: { code: 'TOO_MANY_REQUESTS' }, message: /TOO_MANY_REQUESTS/ })
    t.ok((result.retryAfterSeconds ?? 0) > 0)
    return true
  }
  t.ok(await isRefused())
  await streams.pop()?.return?.()
  await until(async () => !(await isRefused()))
  const reason = new Error('enough')
  controller.abort(reason)
  await t.rejects(async () => {
    while ((await aborted.next()).done !== true);
  }, reason)
  await until(async () => !(await isRefused()))
  for (const stream of streams) await stream.return?.()
})

t.test('a refusal by a proxy has no problem', async (t) => {
  const client = createCloudStorageClient({
    baseUrl: 'http://127.0.0.1/cloud',
    fetch: async () => new Response('<html>', { status: 502, headers: { 'retry-after': 'soon' } })
  })
  const stream = client.watchFolders({ connection: 'c', folders: ['root'] })[Symbol.asyncIterator]()
  const error = await stream.next().catch((error: unknown) => error)
  t.match(error, { status: 502, retryAfterSeconds: null, message: 'The folders cannot be watched: 502' })
  t.equal((error as WatchError).problem, undefined)
})
