import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import cors from '@fastify/cors'
import { InFlightLimit } from '../../src/core/user-limits.ts'
import type { Connection } from '../../src/core/connection.ts'
import type { WatchListener } from '../../src/events/connection-watch.ts'
import type { WatchRequest } from '../../src/events/folder-watches.ts'
import { authenticationHook, decorateWithUser } from '../../src/http/authentication.ts'
import { endEventStreams, eventsRoute } from '../../src/http/events-route.ts'
import { sendProblem } from '../../src/http/problem.ts'
import { setCompilers } from '../../src/http/validation.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { scriptedProvider, testApp } from '../support/app/app.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'
import { connectionRow } from '../support/database/memory-connections.ts'
import { until } from '../support/time/until.ts'
import { VirtualTime } from '../support/time/virtual-time.ts'

interface Stream {
  readonly response: IncomingMessage
  readonly request: ClientRequest
  /** What has arrived. */
  text: string
  isEnded: boolean
  hasFailed: boolean
}

async function openStream(app: FastifyInstance, query: string, headers: Record<string, string> = {}): Promise<Stream> {
  const { port } = app.server.address() as AddressInfo
  const sent = request({ host: '127.0.0.1', port, path: `/cloud/events?${query}`, agent: false, headers })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const stream = { response, request: sent, text: '', isEnded: false, hasFailed: false }
  sent.on('error', () => {})
  response.setEncoding('utf8')
  response.on('data', (text: string) => (stream.text += text))
  response.on('end', () => (stream.isEnded = true))
  response.on('error', () => (stream.hasFailed = true))
  return stream
}

/** Leaves the comments out. */
function eventsOf({ text }: Stream): string[] {
  return text
    .split('\n\n')
    .filter((part) => part !== '' && !part.startsWith(':'))
    .map((part) => part.replace('event: changed\ndata: ', ''))
}

/** The route alone, with virtual time and scripted watches. */
async function routeApp(t: Test, server: object = {}) {
  const time = new VirtualTime()
  const connection: Connection = connectionRow({ id: 'c' })
  const listeners = new Set<WatchListener>()
  const requests: WatchRequest[] = []
  const counts = { begun: 0 }
  const app = Fastify({ forceCloseConnections: true, ...server } as FastifyServerOptions) as unknown as FastifyInstance
  t.teardown(() => app.close())
  app.setErrorHandler(sendProblem)
  setCompilers(app)
  decorateWithUser(app)
  app.addHook(
    'onRequest',
    authenticationHook(({ headers }) => headers['x-user'] ?? 'ann', {
      publicHost: undefined,
      allowedOrigins: new Set()
    })
  )
  await app.register(
    async (child) => {
      const watches = {
        select: async (watched: WatchRequest) => {
          requests.push(watched)
          return { connection, folders: watched.folders }
        },
        begin: (_target: unknown, listener: WatchListener) => {
          counts.begun += 1
          listeners.add(listener)
          return () => listeners.delete(listener)
        }
      }
      const limit = new InFlightLimit(4, 'Too many.')
      eventsRoute(
        child,
        { events: { watches, limit, timers: time, random: () => 0.5 } },
        (_name, schemas = {}) => schemas
      )
    },
    { prefix: '/cloud' }
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  const isIdle = () => listeners.size === 0 && time.count === 0
  return { app, time, listeners, requests, counts, isIdle }
}

/** The plugin on a socket, with a provider that takes uploads, and a connection of ann. */
async function eventsApp(
  t: Test,
  options: Partial<CloudStorageOptions> = {},
  before?: (app: FastifyInstance) => unknown
) {
  const registry = new Registry()
  const backend = new WritableBackend()
  const { provider } = scriptedProvider(backend)
  const testing = await testApp(
    t,
    { transfers: true, metrics: { registry }, providers: { scripted: provider }, ...options },
    { forceCloseConnections: true },
    before
  )
  const id = await testing.connect('ann')
  await testing.app.listen({ host: '127.0.0.1', port: 0 })
  const open = (query = `connection=${id}&folder=root`, user = 'ann', headers = {}) =>
    openStream(testing.app, query, { 'x-user': user, ...headers })
  const metric = async (name: string) => {
    const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${name} `))
    return Number(line?.slice(name.length))
  }
  return { ...testing, id, open, metric, backend }
}

const STREAMS = 'cloud_storage_event_streams'

t.test('a stream begins with a comment, and a change in another tab arrives as an event', async (t) => {
  const { open, id, as, metric } = await eventsApp(t)
  const tabs = [await open(), await open(`connection=${id}&folder=${encodeURIComponent('a/é')}&folder=root`)]
  t.match(tabs[0]?.response, {
    statusCode: 200,
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'private, no-store, no-transform',
      'x-accel-buffering': 'no',
      vary: 'Authorization, Cookie'
    }
  })
  await until(() => tabs.every(({ text }) => text === ': watching\n\n'))
  t.equal(await metric(STREAMS), 2)
  t.equal((await as('ann').send('POST', '/cloud/scripted/folders', { name: 'New' })).statusCode, 201)
  const event = JSON.stringify({ provider: 'scripted', connectionId: id, folder: 'root' })
  await until(() => tabs.every((tab) => eventsOf(tab).includes(event)))
  t.notOk(
    tabs.some(({ text }) => text.includes('New')),
    'no names'
  )
  t.ok((await metric('cloud_storage_events_sent_total{provider="scripted"}')) >= 2)
  for (const tab of tabs) tab.request.destroy()
  await until(async () => (await metric(STREAMS)) === 0)
})

t.test('what cannot be watched is a problem', async (t) => {
  const { as, id, connect, app } = await eventsApp(t)
  const other = await connect('bob')
  for (const [query, status, code] of [
    [`connection=${other}&folder=root`, 404, 'CONNECTION_NOT_FOUND'],
    ['connection=unknown&folder=root', 404, 'CONNECTION_NOT_FOUND'],
    ['folder=root', 400, 'INVALID_REQUEST'],
    [`connection=${id}`, 400, 'INVALID_REQUEST'],
    [`connection=${id}&folder=`, 400, 'INVALID_REQUEST'],
    [`connection=${id}&folder=${'x'.repeat(8193)}`, 400, 'INVALID_REQUEST'],
    [`connection=${id}&folder=root&more=1`, 400, 'INVALID_REQUEST'],
    [`connection=${id}&connection=${id}&folder=root`, 400, 'INVALID_REQUEST'],
    [`connection=${id}${'&folder=f'.repeat(21)}`, 400, 'INVALID_REQUEST'],
    [`connection=${id}&folder=a%00`, 400, 'INVALID_REQUEST']
  ] as const) {
    const response = await as('ann').get(`/cloud/events?${query}`)
    t.match(response, { statusCode: status, headers: { 'content-type': /problem\+json/ } }, query.slice(0, 80))
    t.equal(response.json<{ code: string }>().code, code)
  }
  t.equal((await app.inject(`/cloud/events?connection=${id}&folder=root`)).statusCode, 401)
})

t.test('the fifth stream of a user is 429, until one has ended', async (t) => {
  const { open, metric } = await eventsApp(t)
  const streams = [await open(), await open(), await open(), await open()]
  const fifth = await open()
  t.match(fifth.response, { statusCode: 429, headers: { 'retry-after': '1' } })
  t.equal((await open(undefined, 'bob')).response.statusCode, 404, 'of another user it is not')
  streams[0]?.request.destroy()
  await until(async () => (await metric(STREAMS)) === 3)
  t.equal((await open()).response.statusCode, 200)
})

t.test('HEAD has the headers, and opens no stream', async (t) => {
  const { app, id, metric } = await eventsApp(t)
  for (let count = 0; count < 6; count += 1) {
    const url = `/cloud/events?connection=${id}&folder=root`
    const response = await app.inject({ method: 'HEAD', url, headers: { 'x-user': 'ann' } })
    t.match(response, { statusCode: 200, body: '', headers: { 'content-type': 'text/event-stream' } })
  }
  t.equal(await metric(STREAMS), 0)
})

t.test('a stream ends when its connection is removed, and at the end of the application', async (t) => {
  for (const end of ['removal', 'close'] as const) {
    const { open, as, id, app, metric } = await eventsApp(t)
    const stream = await open()
    await until(() => stream.text !== '')
    const closing = end === 'close' ? app.close() : as('ann').send('DELETE', `/cloud/connections/${id}`)
    await until(() => stream.isEnded)
    await closing
    t.equal(stream.hasFailed, false, 'a clean end')
    if (end === 'removal') t.equal(await metric(STREAMS), 0)
  }
})

t.test('a stream ends when another process has changed the connection', async (t) => {
  const { open, id, db } = await eventsApp(t, { leaseMs: 250 })
  const stream = await open()
  await until(() => stream.text !== '')
  await db.prisma.cloudConnection.update({ where: { id }, data: { status: 'DISABLED' } })
  await until(() => stream.isEnded)
  t.equal(stream.hasFailed, false)
})

t.test('front ends on other origins can read the events', async (t) => {
  const origin = 'https://app.example.org'
  const { open } = await eventsApp(t, { allowedOrigins: [origin] }, (app) => app.register(cors, { origin: [origin] }))
  const { response } = await open(undefined, 'ann', { origin })
  t.match(response.headers, { 'access-control-allow-origin': origin })
})

t.test('a heartbeat every 25 seconds, and an end after 15 minutes', async (t) => {
  const { app, time, isIdle, requests } = await routeApp(t)
  const stream = await openStream(app, 'connection=c&folder=a&folder=b')
  t.same(requests, [{ userId: 'ann', connectionId: 'c', folders: ['a', 'b'] }])
  await until(() => stream.text === ': watching\n\n')
  await time.pass(24_999)
  await time.pass(1)
  await until(() => stream.text === ': watching\n\n: keep-alive\n\n')
  await time.pass(25_000)
  await until(() => stream.text.endsWith('\n\n: keep-alive\n\n: keep-alive\n\n'))
  await time.pass(15 * 60_000 - 50_001)
  t.notOk(stream.isEnded)
  await time.pass(1)
  await until(() => stream.isEnded)
  await until(isIdle)
  t.equal(stream.text.match(/keep-alive/g)?.length, 35)
})

t.test('HEAD begins no watch', async (t) => {
  const { app, requests, counts } = await routeApp(t)
  const response = await app.inject({ method: 'HEAD', url: '/cloud/events?connection=c&folder=a' })
  t.same([response.statusCode, requests.length, counts.begun], [200, 1, 0])
})

t.test('a client that has disconnected leaves nothing behind', async (t) => {
  const { app, listeners, isIdle, time } = await routeApp(t)
  const streams = [await openStream(app, 'connection=c&folder=a'), await openStream(app, 'connection=c&folder=a')]
  t.equal(listeners.size, 2)
  streams[0]?.request.destroy()
  await until(() => listeners.size === 1)
  t.equal(time.count, 2, 'the timers of the other')
  streams[1]?.request.destroy()
  await until(isIdle)
})

t.test('a client that reads nothing is disconnected', async (t) => {
  const { app, listeners, isIdle } = await routeApp(t)
  const stream = await openStream(app, 'connection=c&folder=a')
  await until(() => stream.text !== '')
  stream.response.pause()
  stream.response.socket.pause()
  const folder = 'x'.repeat(8_000)
  // Buffers of the system accept some.
  for (let count = 0; listeners.size > 0 && count < 100_000; count += 1) {
    for (const { onChanged } of listeners) onChanged(folder)
    if (count % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(listeners.size, 0)
  await until(isIdle)
})

t.test('a server that waits for its requests can end the streams', async (t) => {
  const { app, isIdle } = await routeApp(t)
  const stream = await openStream(app, 'connection=c&folder=a')
  endEventStreams(app)
  await until(() => stream.isEnded && isIdle())
  t.equal(stream.hasFailed, false)
  endEventStreams(Fastify())
})

t.test('HTTP/2', async (t) => {
  const { app, listeners, isIdle } = await routeApp(t, { http2: true })
  const { port } = app.server.address() as AddressInfo
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  t.teardown(() => {
    session.destroy()
  })
  for (const end of ['client', 'server'] as const) {
    const stream = session.request({ ':path': '/cloud/events?connection=c&folder=a' })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    const [headers] = (await once(stream, 'response')) as [Record<string, string>]
    t.match(headers, { ':status': 200, 'content-type': 'text/event-stream' })
    await until(() => listeners.size === 1)
    for (const { onChanged } of listeners) onChanged('a')
    await until(() => text.endsWith('"folder":"a"}\n\n'))
    if (end === 'client') stream.close()
    else endEventStreams(app)
    await once(stream, 'close')
    await until(isIdle)
  }
})
