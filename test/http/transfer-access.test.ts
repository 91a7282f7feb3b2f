import t from 'tap'
import cloudStorage from '../../src/index.ts'
import Fastify from 'fastify'
import { encryption, scriptedProvider, testApp } from '../support/app/app.ts'
import { emptyDatabase } from '../support/database/database.ts'
import {
  readResponse,
  type ClientRequestOptions,
  Client,
  contentPath,
  davTransfers
} from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** One request of each kind to a connection. */
function requestsTo(connection?: string): [method: string, path: string, asked: ClientRequestOptions][] {
  const more: Record<string, string> = connection === undefined ? {} : { connection }
  const query = connection === undefined ? '' : `?connection=${encodeURIComponent(connection)}`
  return [
    ['GET', contentPath('webdav', { id: 'a.txt', ...more }), {}],
    ['HEAD', contentPath('webdav', { id: 'a.txt', ...more }), {}],
    ['PUT', contentPath('webdav', { name: 'b.txt', ...more }), { body: 'text' }],
    ['PUT', contentPath('webdav', { id: 'a.txt', ...more }), { body: 'text' }],
    ['POST', `/cloud/webdav/folders${query}`, { headers: JSON_TYPE, body: '{"name":"folder"}' }],
    ['DELETE', contentPath('webdav', { id: 'a.txt', ...more }), {}]
  ]
}

t.test('an anonymous request answers 401 without a call upstream', async (t) => {
  const { fake, client } = await davTransfers(t)
  for (const [method, path, asked] of requestsTo()) {
    t.equal((await client.send(method, path, { ...asked, user: '' })).status, 401, `${method} ${path}`)
  }
  t.same(fake.requests, [])
})

t.test('another user’s connection is treated like an unknown one and is never used', async (t) => {
  const { fake, client, connectionId } = await davTransfers(t)
  fake.tree.put('a.txt', 'text')
  const unknown = requestsTo('cab5aca4-1388-4e3c-8342-996064162c42')
  for (const [index, [method, path, asked]] of requestsTo(connectionId).entries()) {
    const foreign = await client.send(method, path, { ...asked, user: 'bob' })
    const [, noPath, noAsked] = unknown[index]!
    const none = await client.send(method, noPath, { ...noAsked, user: 'bob' })
    t.equal(foreign.status, 404, method)
    t.same([foreign.status, withoutId(foreign.text)], [none.status, withoutId(none.text)], method)
    if (method !== 'HEAD') t.match(foreign.json(), { code: 'CONNECTION_NOT_FOUND' })
  }
  for (const [method, path, asked] of requestsTo()) {
    t.equal(
      (await client.send(method, path, { ...asked, user: 'bob' })).status,
      503,
      `${method}: bob has no connection`
    )
  }
  t.same(fake.requests, [])
  t.same(fake.tree.list(), ['a.txt'])
})

t.test('each user reaches only their own connections', async (t) => {
  const { client, connectDav, connectionId, fake } = await davTransfers(t)
  const bobs = await connectDav('bob')
  fake.tree.put('a.txt', 'text')
  const asked = { user: 'bob' }
  t.equal((await client.send('GET', contentPath('webdav', { id: 'a.txt', connection: bobs }), asked)).status, 200)
  t.equal(
    (await client.send('GET', contentPath('webdav', { id: 'a.txt', connection: connectionId }), asked)).status,
    404
  )
})

t.test('a connection of another provider is not used', async (t) => {
  const { client, connect } = await davTransfers(t)
  const scripted = await connect('ann')
  for (const [method, path, asked] of requestsTo(scripted)) {
    t.equal((await client.send(method, path, asked)).status, 404, method)
  }
})

t.test('among several connections the default is used; without a default the request is refused', async (t) => {
  const { app, connect, as } = await testApp(t, { transfers: true })
  t.match((await as('ann').get(contentPath('scripted', { id: 'a' }))).json(), { code: 'CONNECTION_MISSING' })
  await connect('ann', 'one')
  const second = await connect('ann', 'two')
  await app.ready()
  t.match((await as('ann').get(contentPath('scripted', { id: 'a' }))).json(), { code: 'CONNECTION_AMBIGUOUS' })
  await as('ann').send('PATCH', `/cloud/connections/${second}`, { default: true })
  t.equal((await as('ann').get(contentPath('scripted', { id: 'a' }))).statusCode, 200)
})

t.test('a disabled connection answers 503 without being opened', async (t) => {
  const { fake, client, db, connectionId } = await davTransfers(t)
  fake.tree.put('a.txt', 'text')
  await db.prisma.cloudConnection.update({ where: { id: connectionId }, data: { status: 'DISABLED' } })
  for (const connection of [undefined, connectionId]) {
    for (const [method, path, asked] of requestsTo(connection)) {
      const answer = await client.send(method, path, asked)
      t.equal(answer.status, 503, method)
      if (method !== 'HEAD') t.match(answer.json(), { code: 'CONNECTION_INACTIVE' })
    }
  }
  t.same(fake.requests, [])
})

t.test('a page of another site changes nothing, and its body is not read', async (t) => {
  const { fake, client } = await davTransfers(t)
  fake.tree.put('a.txt', 'text')
  for (const foreign of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
    for (const [method, path, asked] of requestsTo()) {
      if (method === 'GET' || method === 'HEAD') continue
      const answer = await client.send(method, path, { ...asked, headers: { ...asked.headers, ...foreign } })
      t.match(answer.json(), { status: 403, code: 'CROSS_SITE' }, method)
    }
    const headers = { ...foreign, 'content-length': 1000 }
    const request = client.startRequest('PUT', contentPath('webdav', { name: 'b.txt' }), { headers })
    const answered = readResponse(request)
    request.flushHeaders()
    t.match((await answered).json(), { code: 'CROSS_SITE' }, 'before the body arrives')
    request.destroy()
  }
  t.same(fake.requests, [])
  t.same(fake.tree.list(), ['a.txt'])
})

t.test('an operation that a provider does not support answers 501 without a call upstream', async (t) => {
  const { app, connect } = await testApp(t, { transfers: true })
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  for (const [method, path, asked] of requestsTo()) {
    if (method === 'GET' || method === 'HEAD') continue
    const answer = await client.send(method, path.replace('webdav', 'scripted'), asked)
    t.match(answer.json(), { status: 501, code: 'UNSUPPORTED' }, method)
  }
})

t.test('a condition that a provider does not support answers 501', async (t) => {
  const backend = new WritableBackend({ createOnly: 'unsupported', updateIfMatch: 'unsupported' })
  const { provider } = scriptedProvider(backend)
  const { app, connect } = await testApp(t, { transfers: true, providers: { scripted: provider } })
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  for (const headers of [{ 'if-none-match': '*' }, { 'if-match': '"v1"' }]) {
    const answer = await client.send('PUT', contentPath('scripted', { name: 'a' }), { headers, body: 'x' })
    t.match(answer.json(), { status: 501, code: 'UNSUPPORTED' })
  }
  t.equal(backend.entries.size, 0)
})

t.test('a weak ETag is not accepted for replacing content', async (t) => {
  const backend = new WritableBackend()
  const { id } = backend.add('a', { version: 'W/"1"' })
  const { provider } = scriptedProvider(backend)
  const { app, connect } = await testApp(t, { transfers: true, providers: { scripted: provider } })
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const headers = { 'if-match': 'W/"1"' }
  const answer = await new Client(app).send('PUT', contentPath('scripted', { id }), { headers, body: 'other' })
  t.match(answer.json(), { status: 412, code: 'PRECONDITION_FAILED' })
  t.match(backend.entries.get(id), { version: 'W/"1"' })
})

t.test('the log of a transfer contains no ids and no names', async (t) => {
  const lines: string[] = []
  const backend = new WritableBackend()
  const { provider } = scriptedProvider(backend)
  const logger = { level: 'trace', stream: { write: (line: string) => lines.push(line) } }
  const { app, connect } = await testApp(t, { transfers: true, providers: { scripted: provider } }, { logger })
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  await new Client(app).send('PUT', contentPath('scripted', { name: 'private-name' }), { body: 'private-content' })
  t.notMatch(lines.join(''), 'private-')
  t.ok(lines.some((line) => line.includes('/cloud/scripted/content')))
})

t.test('the routes have the prefix of the host, and their body parsers apply to them only', async (t) => {
  const { provider } = scriptedProvider(new WritableBackend())
  const { app, connect } = await testApp(t, { transfers: true, providers: { scripted: provider } })
  app.put('/cloud/of-the-host', async ({ body }) => ({ body }))
  await connect('ann')
  const json = await app.inject({ method: 'PUT', url: '/cloud/of-the-host', payload: { a: 1 } })
  t.same(json.json(), { body: { a: 1 } })
  const other = await app.inject({
    method: 'PUT',
    url: '/cloud/of-the-host',
    headers: { 'content-type': 'image/png' },
    payload: 'x'
  })
  t.equal(other.statusCode, 415)
})

t.test('an invalid option is named in the error', async (t) => {
  const { prisma } = await emptyDatabase()
  const wrong: [transfers: unknown, message: RegExp][] = [
    ['yes', /option transfers: must be true, false or an object/],
    [null, /option transfers: must be true, false or an object/],
    [1, /option transfers: /],
    [[], /option transfers: /],
    [{ maxBytes: 0 }, /option transfers\.maxBytes: must be a positive integer/],
    [{ maxBytes: 1.5 }, /option transfers\.maxBytes: /],
    [{ maxBytes: '1' }, /option transfers\.maxBytes: /],
    [{ maxByte: 1 }, /option transfers\.maxByte: is not a known option/]
  ]
  for (const [transfers, message] of wrong) {
    const app = Fastify({ pluginTimeout: 0 })
    const options = { prisma, authenticate: () => 'ann', encryption, transfers: transfers as boolean }
    await t.rejects(
      async () => {
        await app.register(cloudStorage, options)
      },
      { message }
    )
    await app.close()
  }
})

t.test('a closing host completes uploads in flight', async (t) => {
  const { app, fake, client } = await davTransfers(t)
  const asked = client.startRequest('PUT', contentPath('webdav', { name: 'a' }), { headers: { 'content-length': 10 } })
  const answered = readResponse(asked)
  let begun = false
  fake.earlyScript = ({ method }) => {
    begun ||= method === 'PUT'
    return false
  }
  asked.write('01234')
  await until(() => begun)
  const closing = app.close()
  asked.end('56789')
  t.equal((await answered).status, 201)
  await closing
})

/** Returns an error body without its request ID. */
function withoutId(text: string): string {
  return text.replace(/"requestId":"[^"]*"/, '')
}
