import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t from 'tap'
import { sendProblem } from '../../src/http/problem.ts'
import type { Database } from '../../src/db/open-database.ts'
import { healthRoutes } from '../../server/health-routes.ts'
import { RequestDrain } from '../../server/drain.ts'
import { Deferred } from '../support/time/deferred.ts'
import { appConfig, serverApp, type ServerUnderTest } from '../support/app/server-app.ts'
import { until } from '../support/time/until.ts'

t.test('the server is live while the process responds, and ready while the database responds', async (t) => {
  const { app } = await serverApp(t)
  for (const url of ['/health/live', '/health/ready']) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, 200, url)
    t.equal(answer.headers['cache-control'], 'no-store', url)
  }
})

t.test('a missing or hanging database makes the server not ready, but it stays live', async (t) => {
  for (const askDatabase of [() => Promise.reject(new Error('Bearer SECRET')), () => new Promise(() => undefined)]) {
    const app = Fastify({ pluginTimeout: 0 })
    app.setErrorHandler(sendProblem)
    t.teardown(() => app.close())
    let asked = 0
    healthRoutes(app, {
      pingDatabase: () => {
        asked++
        return askDatabase()
      },
      drain: new RequestDrain(),
      timeoutMs: 20
    })
    const answers = await Promise.all([1, 2, 3].map(() => app.inject('/health/ready')))
    for (const answer of answers) {
      t.equal(answer.statusCode, 503)
      t.equal(answer.json<{ code: string }>().code, 'DATABASE_UNAVAILABLE')
    }
    t.equal(asked, 1, 'concurrent probes share a query')
    t.equal((await app.inject('/health/live')).statusCode, 200)
  }
})

t.test(
  'a database timeout during the lookup of a document answers 503, and a faulty database answers 500',
  async (t) => {
    for (const [error, status, code] of [
      [Object.assign(new Error('connect Bearer SECRET'), { code: 'ECONNREFUSED' }), 503, 'DATABASE_UNAVAILABLE'],
      [new Error('no such table, Bearer SECRET'), 500, 'INTERNAL']
    ] as const) {
      const { app, as } = await serverApp(t, {
        database: (database) => withDocuments(database, () => Promise.reject(error))
      })
      const answer = await app.inject({ url: '/documents/a/content', headers: as('ann') })
      t.equal(answer.statusCode, status)
      t.match(answer.json(), { code })
      t.notMatch(answer.body, 'SECRET')
    }
  }
)

t.test('an unknown URL is a problem document that does not repeat it', async (t) => {
  const { app } = await serverApp(t)
  const answer = await app.inject('/no/such/place?token=hidden')
  t.equal(answer.statusCode, 404)
  t.match(answer.headers['content-type'], 'application/problem+json')
  t.notMatch(answer.body, /hidden|place/)
})

t.test('the log contains no query, header or credential', async (t) => {
  const { app, as, log, object, add } = await serverApp(t, { config: { logLevel: 'trace' } })
  const url = await add()
  app.log.info({ headers: { authorization: 'Bearer SECRET-1' }, req: { headers: { cookie: 'SECRET-2' } } }, 'a line')
  app.log.info('GET https://host/path?sig=SECRET-3 with Basic SECRET-4 to postgres://user:SECRET-5@host/db')
  object.send = () =>
    Promise.reject(
      Object.assign(new Error('401 for Bearer SECRET-6'), {
        config: { headers: { authorization: 'Bearer SECRET-7' } },
        cause: Object.assign(new Error('of https://user:SECRET-8@host/?token=SECRET-9'), { body: 'SECRET-10' })
      })
    )
  const headers = { ...as('ann'), cookie: 'session=SECRET-11', 'x-key': 'SECRET-12' }
  const answer = await app.inject({ url: `${url}?token=SECRET-13`, headers })
  t.equal(answer.statusCode, 502)
  for (const path of [
    '/cloud/s3/listing',
    '/nothing',
    '/health/ready',
    '/documents/%ZZ/content',
    `/documents/${'a'.repeat(200)}/content`
  ]) {
    const { body } = await app.inject({ url: `${path}?cursor=SECRET-14`, headers })
    t.notMatch(body, 'SECRET', path)
  }
  app.log.error(new Error('Bearer SECRET-15'), undefined)
  app.log.error({ err: 'SECRET-16' }, 'thrown text')
  t.notMatch(answer.body, 'SECRET')
  t.notMatch(log.text, /SECRET|eyJ/)
  t.match(log.text, '"url":"/documents/')
  for (const line of log.text.trim().split('\n')) t.type(JSON.parse(line), 'object')
})

t.test('an unexpected error is not repeated in the response, and its secrets are not logged', async (t) => {
  const { app, as, log, add } = await serverApp(t, {
    config: { logLevel: 'info' },
    database: (database) =>
      withDocuments(database, async () => ({
        userId: 'ann',
        get storageBackend(): string {
          throw Object.assign(new TypeError('upstream said Bearer SECRET'), { response: { token: 'SECRET' } })
        }
      }))
  })
  const answer = await app.inject({ url: await add(), headers: as('ann') })
  t.equal(answer.statusCode, 500)
  t.match(answer.json(), { code: 'INTERNAL' })
  t.notMatch(answer.body, /SECRET|upstream/)
  t.match(log.text, 'upstream said Bearer [hidden]')
  t.notMatch(log.text, 'SECRET')
})

t.test('a folder id of 8192 bytes fits into a request', async (t) => {
  const server = await serverApp(t)
  const folder = '/'.repeat(8192)
  const answer = await ask(server, `/cloud/object/listing?folder=${encodeURIComponent(folder)}`)
  t.equal(answer.statusCode, 200)
  t.equal(JSON.parse(await text(answer)).page.complete, true)
})

t.test('while the server drains, requests in flight complete and new ones answer 503', async (t) => {
  const drain = new RequestDrain()
  const server = await serverApp(t, { drain })
  const { app, object, add } = server
  const url = await add()
  const upstreams = Array.from({ length: 20 }, () => {
    const body = new Readable({ read: () => undefined })
    body.push('hel')
    return body
  })
  let calls = 0
  object.send = async () => ({ body: upstreams[calls++]! })
  const answers = await Promise.all(upstreams.map(() => ask(server, url)))

  const drained = drain.drain(app, 60_000)
  const refused = await ask(server, url)
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers.connection, 'close')
  t.match(JSON.parse(await text(refused)), { code: 'SHUTTING_DOWN' })
  t.equal((await ask(server, '/health/live')).statusCode, 200)
  t.equal((await ask(server, '/health/ready')).statusCode, 503)

  for (const upstream of upstreams) {
    upstream.push('lo')
    upstream.push(null)
  }
  for (const answer of answers) t.equal(await text(answer), 'hello')
  t.equal(await drained, 0, 'no request was aborted')
  await app.close()
})

t.test('a shutdown does not wait for open streams of events', async (t) => {
  const drain = new RequestDrain()
  const server = await serverApp(t, { drain })
  const listing = await ask(server, '/cloud/object/listing')
  const { connectionId } = JSON.parse(await text(listing))
  const stream = await ask(server, `/cloud/events?connection=${connectionId}&folder=root`)
  t.equal(stream.statusCode, 200)
  // Longer than the timeout of the test.
  t.equal(await drain.drain(server.app, 600_000), 0, 'no request was aborted')
  t.match(await text(stream), ': watching')
  await server.app.close()
})

t.test('a request that has begun is served, although the server drains before it is authenticated', async (t) => {
  const drain = new RequestDrain()
  const found = new Deferred<object | null>()
  const server = await serverApp(t, { drain, database: (database) => withDocuments(database, () => found.promise) })
  const url = await server.add({ text: 'hello' })
  const asked = ask(server, url)
  await until(() => drain.inFlight === 1)
  const drained = drain.drain(server.app, 60_000)
  found.resolve({ userId: 'ann', storageBackend: 'minio', objectKey: 'k', name: 'a', mimeType: null })
  t.equal(await text(await asked), 'hello')
  t.equal(await drained, 0)
})

t.test('a request that does not end in time is aborted, and the server closes', async (t) => {
  const drain = new RequestDrain()
  const server = await serverApp(t, { drain })
  const upstream = new Readable({ read: () => undefined })
  upstream.push('hel')
  server.object.send = async () => ({ body: upstream })
  const answer = await ask(server, await server.add())
  const cut = t.rejects(text(answer), { code: 'ECONNRESET' })
  t.equal(await drain.drain(server.app, 10), 1)
  await cut
  await until(() => upstream.destroyed)
  await server.app.close()
})

t.test('an idle server drains at once', async (t) => {
  const drain = new RequestDrain()
  const { app } = await serverApp(t, { drain })
  await app.inject('/health/live')
  t.equal(await drain.drain(app, 2_000_000_000), 0)
})

t.test('a client that never completes its request does not delay a drain', async (t) => {
  const drain = new RequestDrain()
  const { app } = await serverApp(t, { drain })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\nX-Slow: ')
  t.equal(await drain.drain(app, 60_000), 0)
  app.server.closeAllConnections()
  await app.close()
})

t.test('forwarded addresses are accepted from trusted proxies only', async (t) => {
  for (const [trustProxy, expected] of [
    [[], '127.0.0.1'],
    [['10.0.0.0/8'], '127.0.0.1'],
    [['127.0.0.0/8'], '203.0.113.9']
  ] as const) {
    const { app, log } = await serverApp(t, { config: { trustProxy, logLevel: 'info' } })
    await app.inject({ url: '/nothing', headers: { 'x-forwarded-for': '203.0.113.9' } })
    t.match(log.text, `"remoteAddress":"${expected}"`)
  }
})

t.test('options of the configuration are passed to the plugin', async (t) => {
  const { app } = await serverApp(t, {
    config: { leaseMs: 0, publicUrl: 'https://files.example.org', cache: { max: 7 } }
  })
  t.ok(app.hasDecorator('folderCache'))
  await t.rejects(serverApp(t, { config: { cache: { max: 0 } } }), { message: /cache\.max/ })
  t.match(appConfig(), { port: 0 })
})

function withDocuments(database: Database, findFirst: () => Promise<object | null>): Database {
  const prisma = new Proxy(database.prisma, {
    get: (client, name) => {
      const value: unknown = Reflect.get(client, name)
      return name === 'document'
        ? { create: (row: { data: object }) => client.document.create(row as never), findFirst }
        : value
    }
  })
  return { ...database, prisma }
}

async function ask({ app, as }: ServerUnderTest, path: string): Promise<IncomingMessage> {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const agent = new Agent()
  const request = httpRequest({ host: '127.0.0.1', port, path, agent, headers: as('ann') })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return answer
}

t.test('Node ends connections whose request is late, that are idle, or that read nothing', async (t) => {
  for (const [transfers, requestTimeout] of [
    [{ maxBytes: 1000 }, 0],
    [false, 30_000]
  ] as const) {
    const { app } = await serverApp(t, { config: { transfers } })
    const { headersTimeout, keepAliveTimeout, timeout } = app.server
    const { connectionsCheckingInterval } = app.server as unknown as { connectionsCheckingInterval: number }
    t.same(
      { requestTimeout: app.server.requestTimeout, headersTimeout, keepAliveTimeout, timeout },
      { requestTimeout, headersTimeout: 30_000, keepAliveTimeout: 72_000, timeout: 120_000 }
    )
    t.equal(connectionsCheckingInterval, 5000, 'a late request is found soon')
  }
})
