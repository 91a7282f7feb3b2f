import { type AddressInfo, connect } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { limitReceiveTime } from '../../server/drain.ts'
import { Client } from '../support/app/transfer-app.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { serverApp } from '../support/app/server-app.ts'

async function sizeOf(body: unknown): Promise<string> {
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) bytes += chunk.length
  return String(bytes)
}

t.test('an incomplete request is ended at its deadline, and an upload may take longer', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  limitReceiveTime(app, 100)
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
  app.post('/small', async () => 'answered before it has come')
  app.post('/read', async ({ body }) => await sizeOf(body))
  app.put('/upload', { config: { streamsBody: true } }, async ({ body }) => await sizeOf(body))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const send = (line: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`${line} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\ncontent-type: a/b\r\n\r\n01234`)
    let heard = ''
    socket.setEncoding('latin1').on('data', (text: string) => (heard += text))
    return { socket, closed: new Promise((resolve) => socket.once('close', resolve)), heard: () => heard }
  }
  const upload = send('PUT /upload')
  const read = send('POST /read')
  const small = send('POST /small')
  await read.closed
  t.equal(read.heard(), '')
  await small.closed
  t.match(small.heard(), 'HTTP/1.1 200')
  upload.socket.end('56789')
  await upload.closed
  t.match(upload.heard(), /10$/)
})

t.test('an injected request, which has no socket, is not affected by the deadline', async (t) => {
  const advance = useManualTimers(t)
  const app = Fastify()
  t.teardown(() => app.close())
  limitReceiveTime(app, 50)
  app.post('/', async () => 'answered')
  const inject = () => app.inject({ method: 'POST', url: '/', payload: { a: 1 } })
  t.equal((await inject()).body, 'answered')
  advance(50)
  t.equal((await inject()).statusCode, 200)
})

t.test('the server has the routes of transfers, unless they are disabled', async (t) => {
  for (const [transfers, status] of [
    [{}, 200],
    [false, 404]
  ] as const) {
    const { app, as } = await serverApp(t, { config: { transfers } })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const answer = await new Client(app).get('/cloud/object/content?id=k', as('ann'))
    t.equal(answer.status, status)
  }
})
