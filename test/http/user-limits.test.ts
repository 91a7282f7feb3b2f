import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect as connectSocket, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { InFlightLimit } from '../../src/core/user-limits.ts'
import { authenticationHook, decorateWithUser } from '../../src/http/authentication.ts'
import { limitInFlight } from '../../src/http/in-flight.ts'
import { defineProvider, Secret, type StorageBackend } from '../../src/index.ts'
import { oauthApp, testApp } from '../support/app/app.ts'
import type { Entry } from '../../src/core/entry.ts'
import type { Account } from '../../src/core/backend.ts'
import { Deferred } from '../support/time/deferred.ts'
import { startDocumentsApp } from '../support/app/documents-app.ts'
import { readResponse, type Client, contentPath, davTransfers } from '../support/app/transfer-app.ts'
import { FAKE_APP_PASSWORD, FAKE_NEXTCLOUD_LOGIN, FakeNextcloud } from '../fakes/nextcloud/fake-nextcloud.ts'
import { respondsWith, faultScript, hangs } from '../fakes/faults.ts'
import { entry, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { OneObject } from '../support/app/server-app.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { until } from '../support/time/until.ts'

const MIB = 1024 * 1024
const TOO_MANY = { status: 429, code: 'TOO_MANY_REQUESTS' }
const { signal: never } = new AbortController()

/** Starts a download without reading it. */
async function pausedDownload(client: Client, path: string, headers = {}): Promise<ClientRequest> {
  const request = client.startRequest('GET', path, { headers })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  answer.on('error', () => {})
  answer.pause()
  return request
}

t.test('past transfersPerUser a transfer answers 429 until another one has ended, whatever delays them', async (t) => {
  const { fake, client, put, connectDav } = await davTransfers(t, { limits: { transfersPerUser: 3 } })
  await connectDav('bob')
  fake.requests.length = 0
  fake.tree.put('big', Buffer.alloc(8 * MIB))
  fake.tree.put('small', 'x')
  const big = contentPath('webdav', { id: 'big' })
  const small = contentPath('webdav', { id: 'small' })
  const held = [
    await pausedDownload(client, big),
    await pausedDownload(client, big, { range: `bytes=0-${7 * MIB}` }),
    client.startRequest('PUT', contentPath('webdav', { name: 'up' }), { headers: { 'content-length': MIB } })
  ]
  held[2]?.write('x')
  await until(() => fake.requests.some(({ method }) => method === 'PUT'))

  fake.requests.length = 0
  for (const [method, path] of [
    ['GET', small],
    ['HEAD', small],
    ['DELETE', small],
    ['PUT', contentPath('webdav', { name: 'other' })]
  ] as const) {
    const refused = await client.send(method, path, { ...(method === 'PUT' && { body: Buffer.alloc(MIB) }) })
    t.equal(refused.status, 429, method)
    t.equal(refused.headers['retry-after'], '1', method)
    if (method !== 'HEAD') t.match(refused.json(), TOO_MANY, method)
  }
  t.same(fake.requests, [], 'the server is not contacted')
  t.equal((await client.send('GET', small, { user: 'bob' })).status, 200, 'another user is not affected')
  t.equal((await client.send('GET', '/cloud/webdav/listing')).status, 200, 'a listing does not count as a transfer')

  // A client that disconnects, a body that fails, and one that ends.
  held[0]?.destroy()
  await until(async () => (await client.get(small)).status === 200)
  held[2]?.destroy()
  held[1]?.destroy()
  await until(() => fake.busy() === 0)
  for (let count = 0; count < 3; count++) {
    t.equal((await client.get(small)).status, 200)
    t.equal((await client.get(contentPath('webdav', { id: 'none' }))).status, 404)
    t.equal((await put({ name: `f${count}` }, { body: 'x' })).status, 201)
  }
})

t.test('a client that stops reading a download is disconnected, and the provider connection is closed', async (t) => {
  const { fake, client } = await davTransfers(t)
  fake.tree.put('big', Buffer.alloc(32 * MIB))
  const tick = useManualTimers(t, ['setInterval'])
  const held = await pausedDownload(client, contentPath('webdav', { id: 'big' }))
  // Otherwise the server would wait for it at the end of a test that has failed.
  t.teardown(() => held.destroy())
  const closed = once(held, 'close')
  await until(() => {
    tick(30_000)
    return fake.busy() === 0
  })
  held.destroy()
  await closed
})

t.test('transfers that are aborted at once are not counted any more', async (t) => {
  const { fake, client } = await davTransfers(t, { limits: { transfersPerUser: 2 } })
  fake.tree.put('small', 'x')
  const path = contentPath('webdav', { id: 'small' })
  for (let count = 0; count < 20; count++) {
    const request = client.startRequest('GET', path)
    request.end()
    if (count % 2 === 0) await once(request, 'socket')
    request.destroy()
  }
  await until(async () => {
    const answers = await Promise.all([client.get(path), client.get(path)])
    return answers.every(({ status }) => status === 200)
  })
})

t.test('a pipelined request whose response never begins is not counted once its connection has closed', async (t) => {
  const { fake, client, app } = await davTransfers(t, { limits: { transfersPerUser: 4 } })
  fake.tree.put('big', Buffer.alloc(8 * MIB))
  fake.tree.put('small', 'x')
  const line = (id: string) => `GET ${contentPath('webdav', { id })} HTTP/1.1\r\nhost: x\r\nx-user: ann\r\n\r\n`
  const socket = connectSocket((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  let received = 0
  app.server.on('request', () => (received += 1))
  socket.write(line('big') + line('small') + line('small') + line('small'))
  const small = contentPath('webdav', { id: 'small' })
  await until(() => received === 4)
  t.equal((await client.get(small)).status, 429)
  socket.destroy()
  await until(async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => client.get(small)))
    return answers.every(({ status }) => status === 200)
  })
})

t.test('a request is counted until its handler has settled, even if its client has disconnected', async (t) => {
  const limit = new InFlightLimit(1, 'Too many requests.')
  const app = Fastify()
  t.teardown(() => app.close())
  const closed = new Deferred<undefined>()
  const work = new Deferred<string>()
  decorateWithUser(app)
  app.addHook('onRequest', async (_request, { raw }) => {
    raw.once('close', () => {
      closed.resolve(undefined)
    })
  })
  app.addHook(
    'onRequest',
    authenticationHook(() => 'ann', { publicHost: undefined, allowedOrigins: new Set() })
  )
  limitInFlight(app, limit)
  app.get('/', () => work.promise)
  const client = request(await app.listen({ host: '127.0.0.1', port: 0 })).on('error', () => {})
  client.end()
  await until(() => limit.limitError('ann') !== undefined)
  client.destroy()
  await closed.promise
  t.not(limit.limitError('ann'), undefined)
  work.resolve('done')
  await until(() => limit.limitError('ann') === undefined)
})

t.test('a host route with the hook is counted until all its calls to the backend have ended', async (t) => {
  const bodies: PassThrough[] = []
  const stat = new Deferred<Entry>()
  const object: StorageBackend = Object.assign(new ScriptedBackend(), {
    stat: () => stat.promise,
    download: async () => {
      const body = new PassThrough()
      bodies.push(body)
      return { body, size: null, range: null, mimeType: null, etag: null, modifiedAt: null }
    }
  })
  const provider = defineProvider({
    id: 'object',
    label: 'Object',
    capabilities: object.capabilities,
    connect: {
      type: 'credentials',
      schema: { type: 'object', properties: {} },
      parse: () => ({ credentials: new Secret({}), accountId: 'one', label: 'One' })
    },
    open: async () => object
  })
  const { app, as } = await testApp(t, { providers: { object: provider }, limits: { transfersPerUser: 1 } })
  const preHandler = app.storageBackendHook({
    document: (_request, { id }) => ({ id: 'd', userId: id, storageBackend: 'object', objectKey: 'k' })
  })
  // Responds without closing the stream it has opened.
  app.get('/leaving', { preHandler }, async (request) => {
    await request.storageBackend.download('k', { signal: never })
    return 'left'
  })
  app.get('/impatient', { preHandler }, async (request) => {
    request.storageBackend.stat('k', { signal: never }).catch(() => {})
    return 'left'
  })
  await as('ann').send('POST', '/cloud/connections/object', {})
  t.equal((await as('ann').get('/leaving')).statusCode, 200)
  const refused = await as('ann').get('/leaving')
  t.match([refused.statusCode, refused.json()], [429, { code: 'TOO_MANY_REQUESTS' }])
  t.equal(refused.headers['retry-after'], '1')
  bodies[0]?.destroy()
  await until(async () => (await as('ann').get('/impatient')).statusCode === 200)
  t.equal((await as('ann').get('/impatient')).statusCode, 429, 'a call that the handler did not await is in flight')
  stat.resolve(entry('k'))
  await until(async () => (await as('ann').get('/impatient')).statusCode === 200)
})

t.test('the documents of the ready-made server count as transfers of their user', async (t) => {
  const object = new OneObject()
  const bodies: PassThrough[] = []
  object.send = async () => {
    const body = new PassThrough()
    body.write('h')
    bodies.push(body)
    return { body }
  }
  const {
    request: ask,
    add,
    begin,
    make,
    stored
  } = await startDocumentsApp(t, {
    backend: object,
    config: { limits: { transfersPerUser: 2 } }
  })
  const path = await add()
  const id = await make('up.txt')
  const upload = begin(id, { headers: { 'content-length': 5 } })
  upload.write('h')
  const first = ask('GET', path)
  await until(async () => bodies.length === 1 && (await stored()).length === 1)
  for (const method of ['GET', 'HEAD', 'PUT'] as const) {
    const refused = await ask(method, path)
    t.equal(refused.status, 429, method)
    t.equal(refused.headers['retry-after'], '1', method)
  }
  t.equal((await ask('GET', '/documents')).status, 200, 'metadata of documents does not count')
  bodies[0]?.end('ello')
  t.equal((await first).text, 'hello')
  const second = ask('GET', path)
  await until(() => bodies.length === 2)
  upload.end('ello')
  t.equal((await readResponse(upload)).status, 201)
  bodies[1]?.end('ello')
  t.equal((await second).status, 200)
})

async function connecting(t: Test) {
  const fake = await FakeNextcloud.start(t)
  fake.dav.mistakes.length = 0
  const providers = { nextcloud: { allowHosts: [new URL(fake.url).host] } }
  const testing = await testApp(t, { providers, limits: { connectsPerUser: 2, failedConnectsPerMinute: 100 } })
  await testing.app.listen({ host: '127.0.0.1', port: 0 })
  return { fake, ...testing }
}

t.test('connects, verifies, authorizes and polls to a server that never responds are counted together', async (t) => {
  const { app, fake, as, scripted, connect } = await connecting(t)
  const id = await connect('ann')
  const begun = await as('ann').send('POST', '/cloud/connections/nextcloud/authorize', { baseUrl: fake.url })
  const { flowId } = begun.json<{ flowId: string }>()
  let asked = 0
  fake.dav.earlyScript = (...call) => {
    asked += 1
    return faultScript(hangs())(...call)
  }
  let hung = 0
  scripted.backend.account = ({ signal }) =>
    new Promise((_resolve, reject) => {
      hung += 1
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  const fields = { baseUrl: fake.url, username: 'alice', password: 'p' }
  const kinds = {
    connect: ['/cloud/connections/nextcloud', fields],
    authorize: ['/cloud/connections/nextcloud/authorize', { baseUrl: fake.url }],
    poll: [`/cloud/connections/nextcloud/authorize/${flowId}/poll`, undefined],
    verify: [`/cloud/connections/${id}/verify`, undefined]
  } as const
  const { port } = app.server.address() as AddressInfo
  for (const [name, [path, body]] of Object.entries(kinds)) {
    const before = asked + hung
    const held = [post(port, path, body), post(port, path, body)]
    await until(() => asked + hung === before + 2)
    for (const [other, [otherPath, otherBody]] of Object.entries(kinds)) {
      const refused = await as('ann').send('POST', otherPath, otherBody)
      t.match([refused.statusCode, refused.json()], [429, { code: 'TOO_MANY_REQUESTS' }], `${other} during ${name}`)
      t.equal(refused.headers['retry-after'], '1')
    }
    t.equal(asked + hung, before + 2, 'no server is contacted')
    t.equal((await as('ann').get('/cloud/connections')).statusCode, 200)
    t.equal(
      (await as('bob').send('POST', '/cloud/connections/scripted', { account: 'b', token: 'refused' })).statusCode,
      400
    )
    for (const socket of held) socket.destroy()
    await until(async () => (await as('ann').send('POST', kinds.connect[0], {})).statusCode === 400)
  }
})

/** Sends a request of ann's on a socket that can be destroyed. */
function post(port: number, path: string, body: object = {}): Socket {
  const text = JSON.stringify(body)
  const socket = connectSocket(port, '127.0.0.1').on('error', () => {})
  const lines = [`POST ${path} HTTP/1.1`, 'host: x', 'x-user: ann', 'content-type: application/json']
  socket.write([...lines, `content-length: ${text.length}`, '', text].join('\r\n'))
  return socket
}

t.test('requests with incomplete bodies are counted', async (t) => {
  const { app, as, connect } = await connecting(t)
  const id = await connect('ann')
  const { port } = app.server.address() as AddressInfo
  const verify = `/cloud/connections/${id}/verify`
  let received = 0
  app.server.on('request', () => (received += 1))
  const held = [1, 2].map(() => {
    const socket = connectSocket(port, '127.0.0.1').on('error', () => {})
    const lines = [`POST ${verify} HTTP/1.1`, 'host: x', 'x-user: ann', 'content-type: application/json']
    socket.write([...lines, 'content-length: 2', '', '{'].join('\r\n'))
    return socket
  })
  await until(() => received === 2)
  t.equal((await as('ann').send('POST', verify)).statusCode, 429)
  for (const socket of held) socket.destroy()
  await until(async () => (await as('ann').send('POST', verify)).statusCode === 200)
})

t.test('an OAuth callback past the limit answers 429 and works when it is loaded again', async (t) => {
  const {
    authorize: begin,
    oauth,
    sendCallback,
    as,
    scripted,
    connect
  } = await oauthApp(t, {
    plugin: { limits: { connectsPerUser: 1 } }
  })
  const id = await connect('ann')
  const { authorizationUrl, cookie } = await begin('ann')
  const callback = await oauth.consent(authorizationUrl)
  const account = new Deferred<Account>()
  let asked = 0
  scripted.backend.account = () => {
    asked += 1
    return account.promise
  }
  const verified = as('ann').send('POST', `/cloud/connections/${id}/verify`)
  // An injected request is sent when it is awaited.
  const status = verified.then(({ statusCode }) => statusCode)
  await until(() => asked === 1)
  t.equal((await sendCallback(callback, { cookie })).statusCode, 429)
  account.resolve({ id: 'a', name: 'A', email: null, quota: null })
  t.equal(await status, 200)
  const done = await sendCallback(callback, { cookie })
  t.equal(done.statusCode, 303)
  t.notMatch(done.headers.location, /error/)
})

t.test('eleven wrong passwords for a server, sequential or concurrent, are five attempts, then 429', async (t) => {
  for (const isParallel of [false, true]) {
    const fake = await FakeNextcloud.start(t)
    const providers = { nextcloud: { allowHosts: [new URL(fake.url).host] } }
    const { as } = await testApp(t, { providers })
    const path = '/cloud/connections/nextcloud'
    const login = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
    t.equal((await as('ann').send('POST', path, login)).statusCode, 201)
    t.equal((await as('bob').send('POST', path, login)).statusCode, 201)
    t.equal((await as('ann').get('/cloud/nextcloud/listing')).statusCode, 200)
    fake.dav.requests.length = 0
    const connect = (index: number) => {
      // Several addresses of one server.
      const baseUrl = index % 2 === 0 ? fake.url : `${fake.url}/index.php/apps/files/`
      return as('ann').send('POST', path, { ...login, baseUrl, password: `wrong-${index}` })
    }
    const statuses: number[] = []
    const take = async (index: number): Promise<void> => {
      const { statusCode, headers } = await connect(index)
      statuses.push(statusCode)
      if (statusCode === 429) t.match(headers['retry-after'], /^[1-9]\d?$/)
    }
    if (isParallel) await Promise.all(Array.from({ length: 11 }, (_, index) => take(index)))
    else for (let index = 0; index < 11; index++) await take(index)
    t.same(statuses.sort(), [...Array<number>(5).fill(400), ...Array<number>(6).fill(429)])
    t.equal(fake.dav.requests.length, 5, 'requests that the server received')
    t.equal((await as('bob').get('/cloud/nextcloud/listing')).statusCode, 200)
    const again = await as('ann').get('/cloud/nextcloud/listing?refresh=true')
    t.equal(again.statusCode, 200, 'an existing connection still works')
    t.equal((await as('bob').send('POST', path, { ...login, password: 'wrong' })).statusCode, 400)
  }
})

t.test('attempts that their client aborts are counted, and successful ones are not', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const providers = { nextcloud: { allowHosts: [new URL(fake.url).host] } }
  const { app, as } = await testApp(t, { providers })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const path = '/cloud/connections/nextcloud'
  const login = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  for (let count = 0; count < 7; count++) t.equal((await as('ann').send('POST', path, login)).statusCode, 201)
  let asked = 0
  fake.dav.earlyScript = () => {
    asked += 1
    return true
  }
  for (let count = 1; count <= 5; count++) {
    const socket = post(port, path, { ...login, password: 'wrong' })
    await until(() => asked === count)
    socket.destroy()
  }
  await until(() => fake.dav.busy() === 0)
  t.equal((await as('ann').send('POST', path, login)).statusCode, 429)
  t.equal(asked, 5)
})

t.test('a 429 without Retry-After ends one request, and other connections to that server work', async (t) => {
  const { fake, client, connectDav } = await davTransfers(t)
  await connectDav('bob')
  fake.requests.length = 0
  fake.script = faultScript(respondsWith(429), { times: 1 })
  const list = (user: string) => client.send('GET', '/cloud/webdav/listing', { user })
  const throttled = await list('ann')
  t.match(throttled.json(), { status: 503, code: 'PROVIDER_THROTTLED' })
  t.equal(throttled.headers['retry-after'], '5')
  t.equal(fake.requests.length, 1)
  t.equal((await list('bob')).status, 200)
  t.equal((await list('ann')).status, 503)
  t.equal(fake.requests.length, 2)
})
