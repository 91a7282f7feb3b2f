import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import type { WebSocketConnection } from '../../src/core/egress.ts'
import type { Timeouts } from '../../src/core/stores.ts'
import { FakeServer } from '../fakes/fake-server.ts'
import { FakeWebSocket, frameOf } from '../fakes/web-socket.ts'
import { openEgress } from '../support/backend/egress.ts'
import { NET_CERTIFICATE, NET_KEY } from '../support/net/certificate.ts'
import { failureOf, rejectionOf } from '../support/rejection.ts'
import { until } from '../support/time/until.ts'

class Server extends FakeServer {
  onUpgrade: (message: IncomingMessage, socket: Duplex, head: Buffer) => void = () => {}
  served = 0

  static async start(t: Test): Promise<Server> {
    const server = new Server()
    await server.listen(t, 'WebSocket')
    return server
  }

  protected override async serve(_message: IncomingMessage, response: Parameters<FakeServer['serve']>[1]) {
    this.served += 1
    response.end('no WebSocket')
  }

  protected override upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.onUpgrade(message, socket, head)
  }
}

async function start(t: Test, script: (socket: FakeWebSocket) => void = () => {}, timeouts: Partial<Timeouts> = {}) {
  const server = await Server.start(t)
  const egress = openEgress({ timeouts })
  t.teardown(() => egress.close())
  const open = (options: object = {}) =>
    egress.openWebSocket({
      ...{ url: new URL(`${server.origin}/path?secret=1#part`), signal: new AbortController().signal, idleMs: 10_000 },
      ...options
    })
  server.onUpgrade = (message, socket, head) => {
    script(new FakeWebSocket(message, socket, head, (mistake) => server.mistakes.push(mistake)))
  }
  return { server, egress, open }
}

async function messagesOf(connection: WebSocketConnection): Promise<string[]> {
  const messages: string[] = []
  for await (const message of connection.messages) messages.push(message)
  return messages
}

t.test('messages in both directions, whatever the chunks', async (t) => {
  const long = 'ä'.repeat(30_000)
  const { open } = await start(t, (socket) => {
    socket.onText = (text) => {
      const bytes = Buffer.concat([
        frameOf('one'),
        frameOf('p', 9),
        frameOf('', 10),
        frameOf('t', 1, false),
        frameOf('', 0, false),
        frameOf('between', 9),
        frameOf('wo', 0),
        frameOf(long),
        frameOf(''),
        frameOf(`${text.length}`),
        frameOf('', 8),
        frameOf('late')
      ])
      for (const byte of text.startsWith('bytes') ? bytes.subarray(0, 200) : []) socket.sendFrame(Buffer.of(byte))
      socket.sendFrame(text.startsWith('bytes') ? bytes.subarray(200) : bytes)
    }
  })
  for (const text of ['bytes', 'x'.repeat(300)]) {
    const connection = await open()
    connection.send(text)
    t.same(await messagesOf(connection), ['one', 'two', long, '', String(text.length)])
  }
})

t.test('pings are answered', async (t) => {
  let socket: FakeWebSocket | undefined
  const { open } = await start(t, (opened) => {
    socket = opened
    socket.sendFrame(frameOf('are you there', 9))
  })
  const reading = messagesOf(await open())
  await until(() => socket?.pongs[0] === 'are you there')
  socket?.close()
  t.same(await reading, [])
})

t.test('what RFC 6455 does not allow, and what is too long, ends the connection', async (t) => {
  const huge = Buffer.alloc(10)
  huge.set([0x81, 127])
  huge.writeBigUInt64BE(2n ** 62n, 2)
  for (const [name, frames] of [
    ['a frame that is too long', [frameOf('x'.repeat(65_537))]],
    ['a length beyond all numbers', [huge]],
    ['a message that is too long', [frameOf('x'.repeat(40_000), 1, false), frameOf('x'.repeat(40_000), 0)]],
    ['a masked frame', [Buffer.of(0x81, 0x80, 0, 0, 0, 0)]],
    ['a compressed frame', [Buffer.of(0xc1, 0)]],
    ['a binary frame', [frameOf('x', 2)]],
    ['an unknown control frame', [frameOf('x', 11)]],
    ['a long ping', [frameOf('x'.repeat(126), 9)]],
    ['a ping in parts', [frameOf('x', 9, false)]],
    ['a continuation of nothing', [frameOf('x', 0)]],
    ['a message within another one', [frameOf('x', 1, false), frameOf('y')]],
    [
      'a message in too many parts',
      [frameOf('x', 1, false), ...Array.from({ length: 1_024 }, () => frameOf('', 0, false))]
    ],
    ['a flood of empty messages', Array.from({ length: 5_000 }, () => frameOf(''))],
    ['endless pongs', Array.from({ length: 20_000 }, () => frameOf('x'.repeat(100), 10))],
    ['endless pings', Array.from({ length: 20_000 }, () => frameOf('x'.repeat(100), 9))]
  ] as const) {
    const { server, open } = await start(t, (socket) => {
      socket.sendFrame(Buffer.concat(frames))
    })
    const { code, message } = await failureOf(messagesOf(await open()))
    t.equal(code, 'PROVIDER_ERROR', name)
    t.notOk(message.includes('secret'))
    await until(() => server.sockets.size === 0)
  }
})

t.test('a message that arrives byte by byte', async (t) => {
  const { open } = await start(t, ({ socket }) => {
    const bytes = frameOf('x'.repeat(65_536))
    const sendNext = (at: number): void => {
      if (socket.destroyed) return
      socket.write(bytes.subarray(at, at + 1))
      setImmediate(sendNext, at + 1)
    }
    sendNext(0)
  })
  t.equal((await failureOf(messagesOf(await open()))).code, 'PROVIDER_ERROR')
})

t.test('a message that arrives with the response', async (t) => {
  const { server, open } = await start(t)
  server.onUpgrade = (message, socket) => {
    socket.cork()
    new FakeWebSocket(message, socket, Buffer.alloc(0), () => {}).send('first')
    socket.uncork()
  }
  for await (const message of (await open()).messages) {
    t.equal(message, 'first')
    break
  }
})

t.test('a server that says that it closes, and does not', async (t) => {
  const { open } = await start(t, (socket) => {
    socket.socket.removeAllListeners('end')
    socket.send('last')
    socket.sendFrame(frameOf('', 8))
  })
  const startedAt = performance.now()
  t.same(await messagesOf(await open()), ['last'])
  t.ok(performance.now() - startedAt < 15_000)
})

t.test('an abort, the end of the loop, and the end of the egress close the socket at once', async (t) => {
  const { server, egress, open } = await start(t, (socket) => {
    socket.send('first')
  })
  const controller = new AbortController()
  const reason = new Error('gone')
  const reading = messagesOf(await open({ signal: controller.signal }))
  controller.abort(reason)
  t.equal(await rejectionOf(reading), reason)
  await until(() => server.sockets.size === 0)
  t.equal(await rejectionOf(open({ signal: controller.signal })), reason)
  for await (const message of (await open()).messages) {
    t.equal(message, 'first')
    break
  }
  await until(() => server.sockets.size === 0)
  const last = failureOf(messagesOf(await open()))
  await egress.close()
  await until(() => server.sockets.size === 0)
  t.equal((await last).code, 'PROVIDER_UNAVAILABLE')
})

t.test('a silent server, and one that does not answer', async (t) => {
  const { server, open } = await start(t)
  t.equal((await failureOf(messagesOf(await open({ idleMs: 50 })))).code, 'PROVIDER_TIMEOUT')
  server.onUpgrade = () => {}
  const controller = new AbortController()
  const opening = open({ signal: controller.signal })
  await until(() => server.sockets.size === 1)
  controller.abort(new Error('gone'))
  t.match(await rejectionOf(opening), { message: 'gone' })
  const { server: slow, open: openInTime } = await start(t, () => {}, { headersMs: 50 })
  slow.onUpgrade = () => {}
  t.equal((await failureOf(openInTime())).code, 'PROVIDER_TIMEOUT')
})

t.test('a connection that breaks is an outage, and one that ends ends the messages', async (t) => {
  const { open } = await start(t, ({ socket }) => {
    socket.destroy()
  })
  const outcome = await rejectionOf(open().then(messagesOf))
  t.ok(outcome === undefined || (outcome as { code: string }).code === 'PROVIDER_UNAVAILABLE')
})

t.test('only a WebSocket is accepted', async (t) => {
  const { server, open } = await start(t)
  const head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
  for (const [name, response] of [
    ['no proof', `${head}\r\n`],
    ['a wrong proof', `${head}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n`],
    ['a plain response', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a redirect', `HTTP/1.1 302 Found\r\nLocation: ${server.origin}/x\r\nContent-Length: 0\r\n\r\n`]
  ] as const) {
    let requests = 0
    server.onUpgrade = (_message, socket) => {
      requests += 1
      socket.end(response)
    }
    t.match((await failureOf(open())).code, /^PROVIDER_(?:ERROR|UNAVAILABLE)$/, name)
    t.equal(requests, 1, 'a redirect is not followed')
  }
  t.equal(server.served, 0)
  await until(() => server.sockets.size === 0)
})

t.test('TLS verifies the server', async (t) => {
  const server = createTlsServer({ key: NET_KEY, cert: NET_CERTIFICATE })
  const names: unknown[] = []
  server.on('upgrade', (message: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    names.push(socket.servername)
    new FakeWebSocket(message, socket, head, () => {}).send('first')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const egress = openEgress({
    allowHosts: [`nas.test:${port}`],
    resolve: (_name, _options, callback) => {
      callback(null, [{ address: '127.0.0.1', family: 4 }])
    }
  })
  const setting = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  t.teardown(async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = setting
    if (setting === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    await egress.close()
    server.close()
  })
  const open = () =>
    egress.openWebSocket({
      url: new URL(`https://nas.test:${port}/`),
      signal: new AbortController().signal,
      idleMs: 100_000
    })
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '1'
  t.equal((await failureOf(open())).code, 'PROVIDER_ERROR')
  t.same(names, [])
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  for await (const message of (await open()).messages) {
    t.equal(message, 'first')
    break
  }
  t.same(names, ['nas.test'])
})

t.test('the egress rules apply to the URL and to the connected address', async (t) => {
  const server = await Server.start(t)
  const { port } = new URL(server.origin)
  const signal = new AbortController().signal
  const closed = openEgress({ allowHosts: [] })
  const rebound = openEgress({
    allowHosts: [],
    resolve: (_name, _options, callback) => {
      callback(null, [{ address: '127.0.0.1', family: 4 }])
    }
  })
  t.teardown(() => Promise.all([closed.close(), rebound.close()]))
  for (const [egress, url] of [
    [closed, `http://127.0.0.1:${port}/`],
    [closed, `https://127.0.0.1:${port}/`],
    [closed, 'http://169.254.169.254/'],
    [closed, 'http://push.example.org/'],
    [closed, 'ftp://push.example.org/'],
    [rebound, `https://push.example.org:${port}/`]
  ] as const) {
    t.equal(
      (await failureOf(egress.openWebSocket({ url: new URL(url), signal, idleMs: 1 }))).code,
      'ENDPOINT_FORBIDDEN'
    )
  }
  t.equal(server.served, 0)
})
