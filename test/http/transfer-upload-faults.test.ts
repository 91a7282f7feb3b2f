import type { ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import t from 'tap'
import { discardRemainingBody } from '../../src/http/upload-body.ts'
import { scriptedProvider, testApp } from '../support/app/app.ts'
import { readResponse, Client, contentPath, davTransfers } from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

const MIB = 1024 * 1024

t.test('a provider that does not read makes the client wait', async (t) => {
  const { fake, client } = await davTransfers(t)
  const taken: ServerResponse[] = []
  fake.earlyScript = ({ method }, response) => {
    if (method === 'PUT') taken.push(response)
    return method === 'PUT'
  }
  const asked = client.startRequest('PUT', contentPath('webdav', { name: 'a' }), {
    headers: { 'content-length': 512 * MIB }
  })
  const piece = Buffer.alloc(MIB)
  let sent = 0
  let before = -1
  let still = 0
  await until(() => {
    while (asked.writableLength < 4 * MIB && sent < 512) {
      asked.write(piece)
      sent += 1
    }
    still = sent === before ? still + 1 : 0
    before = sent
    return still > 2000 || sent === 512
  })
  t.ok(sent < 128, `${sent} MiB`)
  taken[0]?.socket?.destroy()
  await new Promise((resolve) => asked.once('close', resolve))
})

t.test('an upload of more than maxBytes answers 413, declared or streamed, and leaves nothing behind', async (t) => {
  const { fake, put, client } = await davTransfers(t, { transfers: { maxBytes: 100_000 } })
  t.equal((await put({ name: 'fits' }, { body: Buffer.alloc(100_000) })).status, 201)
  // The search for files of killed processes, which follows the first upload into a folder.
  await until(() => fake.requests.some(({ headers }) => headers['depth'] === '1') && fake.busy() === 0)
  fake.requests.length = 0
  const announced = await put({ name: 'large' }, { body: Buffer.alloc(100_001) })
  t.match(announced.json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  t.same(fake.requests, [], 'the provider is not called')
  const asked = client.startRequest('PUT', contentPath('webdav', { name: 'large' }), {
    headers: { 'transfer-encoding': 'chunked' }
  })
  const answered = readResponse(asked)
  for (let count = 0; count < 20; count++) asked.write(Buffer.alloc(10_000))
  asked.end()
  t.match((await answered).json(), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  t.same(fake.tree.list(), ['fits'])
  await until(() => fake.busy() === 0)
})

t.test('a refusal reaches a client that is still sending, and its connection stays usable', async (t) => {
  const { app, fake } = await davTransfers(t, { transfers: { maxBytes: 8 * MIB } })
  fake.tree.put('a.txt', 'first')
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let heard = ''
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text))
  const head = (method: string, ...lines: string[]) =>
    [`${method} ${contentPath('webdav', { id: 'a.txt' })} HTTP/1.1`, 'host: x', 'x-user: ann', ...lines, '', ''].join(
      '\r\n'
    )
  for (const condition of ['if-none-match: *', 'content-encoding: br']) {
    heard = ''
    socket.write(head('PUT', condition, `content-length: ${8 * MIB}`))
    await until(() => /^HTTP\/1\.1 4(12|15) /.test(heard))
    socket.write(Buffer.alloc(8 * MIB))
    heard = ''
    socket.write(head('GET'))
    await until(() => /^HTTP\/1\.1 200 .*\r\n\r\nfirst$/s.test(heard))
  }
  // A part of the body was read, and the rest is unread.
  heard = ''
  socket.write(head('PUT', 'transfer-encoding: chunked'))
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB), Buffer.from('\r\n')])
  for (let count = 0; count < 24; count++) socket.write(chunk)
  await until(() => /^HTTP\/1\.1 413 /.test(heard))
  heard = ''
  socket.write('0\r\n\r\n')
  socket.write(head('GET'))
  await until(() => /^HTTP\/1\.1 200 .*\r\n\r\nfirst$/s.test(heard))
  t.pass()
})

t.test('a client that keeps sending a refused body is disconnected in the end', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
  app.put('/', async (request, reply) => {
    discardRemainingBody(request, reply, 100)
    return reply.code(400).send('refused')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let heard = ''
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write('PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nthe beginning')
  await closed
  t.match(heard, /^HTTP\/1\.1 400 .*refused$/s)
})

t.test('the reason for which a body was ended decides the response, whatever error the provider reports', async (t) => {
  const backend = new WritableBackend()
  const { provider } = scriptedProvider(backend)
  const { upload } = backend
  Object.assign(backend, {
    upload: (...asked: Parameters<typeof upload>) => upload(...asked).catch(() => Promise.reject(new Error('lost')))
  })
  const options = { transfers: { maxBytes: 10 }, providers: { scripted: provider } }
  const { app, connect: connectUser } = await testApp(t, options, {}, (host) => {
    host.addHook('preParsing', async ({ headers }, _reply, payload) =>
      headers['x-breaks'] === undefined ? payload : new Readable({ read: breakOff })
    )
  })
  function breakOff(this: Readable): void {
    this.push('01')
    this.destroy(new Error('of the host'))
  }
  await connectUser('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const send = async (headers: Record<string, string>) => {
    const asked = client.startRequest('PUT', contentPath('scripted', { name: 'a' }), { headers })
    const answered = readResponse(asked)
    asked.end('01234567890')
    return (await answered).json()
  }
  t.match(await send({ 'transfer-encoding': 'chunked' }), { code: 'PAYLOAD_TOO_LARGE' })
  const broken = await send({ 'transfer-encoding': 'chunked', 'x-breaks': 'yes' })
  t.match(broken, { code: 'INVALID_REQUEST', detail: /interrupted/ })
  t.equal(backend.entries.size, 0)
})

for (const headers of [{ 'content-length': 10 * MIB }, { 'transfer-encoding': 'chunked' }]) {
  t.test(`an upload aborted in the middle leaves nothing behind (${Object.keys(headers).join()})`, async (t) => {
    const { fake, client } = await davTransfers(t)
    let begun = false
    fake.earlyScript = ({ method }) => {
      begun ||= method === 'PUT'
      return false
    }
    const asked = client.startRequest('PUT', contentPath('webdav', { name: 'a' }), { headers })
    asked.write(Buffer.alloc(MIB))
    await until(() => begun)
    asked.destroy()
    await until(() => fake.busy() === 0)
    t.same(fake.tree.list(), [])
  })
}

t.test('an upload that stalls times out', async (t) => {
  const { fake, client } = await davTransfers(t, { timeouts: { idleMs: 300 } })
  const asked = client.startRequest('PUT', contentPath('webdav', { name: 'a' }), {
    headers: { 'content-length': 10 * MIB }
  })
  const answered = readResponse(asked)
  asked.write(Buffer.alloc(1000))
  t.match((await answered).json(), { status: 400, code: 'INVALID_REQUEST' })
  await until(() => fake.busy() === 0)
  t.same(fake.tree.list(), [])
  asked.destroy()
})
