import { randomBytes } from 'node:crypto'
import { Readable, type Transform } from 'node:stream'
import t, { type Test } from 'tap'
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  deflateSync,
  gzipSync
} from 'node:zlib'
import type { HttpResponse, HttpRequest } from '../../src/core/egress.ts'
import { isStorageError } from '../../src/errors.ts'
import { openEgress } from '../support/backend/egress.ts'
import { NET_CLIENTS } from '../support/net/clients.ts'
import { failureOf } from '../support/rejection.ts'
import { startServer, startTcp } from '../support/net/server.ts'
import { readBody } from '../support/app/read-body.ts'
import { until } from '../support/time/until.ts'

const { signal } = new AbortController()
const MIB = 1024 * 1024
const TEXT = 'what was meant '.repeat(100)

async function get(
  origin: string,
  request: Partial<HttpRequest> = {}
): Promise<HttpResponse & { read(): Promise<string> }> {
  const answer = await openEgress().request({ method: 'GET', url: new URL(origin), signal, ...request })
  return { ...answer, read: async () => (await readBody(answer.body)).toString('latin1') }
}

const read = async (origin: string, request?: Partial<HttpRequest>): Promise<string> =>
  (await get(origin, request)).read()

/** A server that responds to each request with these raw bytes, and then applies `end` to the socket. */
async function saying(t: Test, bytes: string, end: 'keep' | 'end' | 'reset') {
  const server = await startTcp(t, (socket) => {
    socket.on('data', () => {
      socket.write(bytes, 'latin1', () => {
        if (end === 'end') socket.end()
        // The written bytes must arrive first.
        if (end === 'reset') setImmediate(() => socket.resetAndDestroy())
      })
    })
  })
  return { server, origin: `http://127.0.0.1:${server.port}` }
}

/** 300 MB of spaces, compressed. */
async function bomb(compressor: Transform): Promise<Buffer> {
  const spaces = Buffer.alloc(MIB, ' ')
  return readBody(Readable.from(Array(300).fill(spaces) as Buffer[]).pipe(compressor))
}

const BOMBS: [string, () => Transform][] = [
  ['gzip', () => createGzip({ level: 9 })],
  ['deflate', () => createDeflate({ level: 9 })],
  ['br', () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })]
]

for (const [coding, compressor] of BOMBS) {
  t.test(`300 MB of spaces, compressed with ${coding}, are not decompressed`, async (t) => {
    const body = await bomb(compressor())
    t.ok(body.length < MIB)
    const server = await startServer(t)
    server.respond = (_request, response) => response.writeHead(200, { 'content-encoding': coding }).end(body)
    const before = process.memoryUsage.rss()
    let received = 0
    const { body: unpacked } = await get(server.origin, { maxBytes: 8 * MIB })
    const failure = await failureOf(
      (async () => {
        for await (const chunk of unpacked as AsyncIterable<Buffer>) received += chunk.length
      })()
    )
    t.equal(failure.code, 'PROVIDER_ERROR')
    t.equal(failure.message, 'The response of the provider is too large.')
    t.ok(received <= 8 * MIB)
    t.ok(process.memoryUsage.rss() - before < 100 * MIB)
    await until(() => server.sockets.size === 0)
  })
}

for (const client of NET_CLIENTS) {
  t.test(`${client.name} stops reading an endless response`, async (t) => {
    const server = await startServer(t)
    server.respond = (_request, response) => {
      const spaces = Buffer.alloc(MIB, ' ')
      const pour = (): void => {
        while (!response.destroyed && response.write(spaces));
      }
      response.on('drain', pour)
      pour()
    }
    t.equal((await failureOf(client.call(openEgress(), server.origin))).code, client.mapCode('PROVIDER_ERROR'))
    await until(() => server.sockets.size === 0)
  })

  t.test(`${client.name} does not accept a truncated response`, async (t) => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\n'
    const cut = [
      `${head}content-length: 100\r\n\r\n<ListBucketResult/>`,
      `${head}transfer-encoding: chunked\r\n\r\n13\r\n<ListBucketResult/>\r\n`,
      `${head}transfer-encoding: chunked\r\n\r\n20\r\n<ListBucketResult/>`
    ]
    for (const bytes of [...cut, head, ''])
      for (const end of ['end', 'reset'] as const) {
        const { origin } = await saying(t, bytes, end)
        const { code } = await failureOf(client.call(openEgress(), origin))
        t.equal(code, 'PROVIDER_UNAVAILABLE', JSON.stringify([bytes, end]))
      }
  })

  t.test(`${client.name} does not accept an invalid response`, async (t) => {
    const nonsense = [
      'HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello',
      `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`,
      'SSH-2.0-OpenSSH_9.9\r\n'
    ]
    for (const bytes of nonsense) {
      const { server, origin } = await saying(t, bytes, 'keep')
      const { code } = await failureOf(client.call(openEgress(), origin))
      // Some of it looks like a truncated response.
      t.ok(['PROVIDER_ERROR', 'PROVIDER_UNAVAILABLE'].includes(code), `${bytes.slice(0, 60)}: ${code}`)
      await until(() => server.sockets.size === 0)
    }
  })
}

t.test('a response is decompressed by its Content-Encoding', async (t) => {
  const server = await startServer(t)
  const codings: [string, Buffer][] = [
    ['gzip', gzipSync(TEXT)],
    ['GZIP', gzipSync(TEXT)],
    [' x-gzip ', gzipSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
    ['identity', Buffer.from(TEXT)],
    ['', Buffer.from(TEXT)]
  ]
  for (const [coding, body] of codings) {
    server.respond = (_request, response) => response.writeHead(200, { 'content-encoding': coding }).end(body)
    t.equal(await read(server.origin), TEXT, coding)
  }
  t.equal(server.requests[0]?.headers['accept-encoding'], 'gzip, deflate, br')
})

t.test('an unrequested or repeated content coding is refused', async (t) => {
  const server = await startServer(t)
  for (const coding of ['zstd', 'compress', 'gzip, br', 'gzip, gzip', 'gzip,identity', 'constructor', '__proto__']) {
    server.respond = (_request, response) =>
      response.writeHead(200, { 'content-encoding': coding }).write(gzipSync(gzipSync(TEXT)))
    t.equal((await failureOf(read(server.origin))).code, 'PROVIDER_ERROR', coding)
    await until(() => server.sockets.size === 0)
  }
  server.respond = (_request, response) =>
    response.setHeader('content-encoding', ['gzip', 'br']).end(gzipSync(brotliCompressSync(TEXT)))
  t.equal((await failureOf(read(server.origin))).code, 'PROVIDER_ERROR')
})

t.test('invalid or truncated compressed content is a provider error', async (t) => {
  const server = await startServer(t)
  for (const [coding, body] of [
    ['gzip', Buffer.from('hello')],
    ['gzip', gzipSync(TEXT).subarray(0, -8)],
    ['deflate', deflateSync(TEXT).subarray(0, 20)],
    ['br', brotliCompressSync(TEXT).subarray(0, 5)],
    ['br', Buffer.from('hello')]
  ] as const) {
    server.respond = (_request, response) => response.writeHead(200, { 'content-encoding': coding }).end(body)
    t.equal((await failureOf(read(server.origin))).code, 'PROVIDER_ERROR', coding)
  }
})

t.test('a response without a body is not decompressed', async (t) => {
  const server = await startServer(t)
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304]
  ] as const) {
    server.respond = (_request, response) => response.writeHead(status, { 'content-encoding': 'gzip' }).end()
    t.equal(await read(server.origin, { method }), '')
  }
  server.respond = (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': '0' }).end()
  t.equal(await read(server.origin), '')
})

t.test('a response may have exactly the maximum size', async (t) => {
  const server = await startServer(t)
  server.respond = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(TEXT))
  t.equal(await read(server.origin, { maxBytes: TEXT.length }), TEXT)
  t.equal((await failureOf(read(server.origin, { maxBytes: TEXT.length - 1 }))).code, 'PROVIDER_ERROR')
})

t.test('a body ends at its Content-Length, whatever follows', async (t) => {
  const { server, origin } = await saying(
    t,
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and HTTP/1.1 200 OK\r\n\r\n',
    'keep'
  )
  const egress = openEgress()
  for (let i = 0; i < 3; i++) {
    const answer = await egress.request({ method: 'GET', url: new URL(origin), signal })
    const text = await readBody(answer.body).then(String, (error: unknown) => isStorageError(error, 'PROVIDER_ERROR'))
    t.ok(text === 'hello' || text === true)
  }
  await until(() => server.sockets.size === 0)
  t.equal(server.connections, 3)
})

t.test('a transfer is returned unchanged, whatever its Content-Encoding is', async (t) => {
  const server = await startServer(t)
  const packed = gzipSync(TEXT)
  for (const coding of ['gzip', 'zstd', 'gzip, br', 'constructor']) {
    server.respond = (_request, response) => response.writeHead(200, { 'content-encoding': coding }).end(packed)
    t.equal(await read(server.origin, { purpose: 'transfer' }), packed.toString('latin1'), coding)
  }
  t.equal(server.requests[0]?.headers['accept-encoding'], 'identity')
})

t.test('a transfer has no size limit', async (t) => {
  const server = await startServer(t)
  const body = randomBytes(20 * MIB)
  server.respond = (_request, response) => response.end(body)
  const answer = await get(server.origin, { purpose: 'transfer', maxBytes: 10 })
  t.ok((await readBody(answer.body)).equals(body))
})

t.test('a truncated transfer fails like any other call', async (t) => {
  for (const end of ['end', 'reset'] as const) {
    for (const head of ['content-length: 100\r\n\r\n', 'transfer-encoding: chunked\r\n\r\n5\r\n']) {
      const { origin } = await saying(t, `HTTP/1.1 200 OK\r\n${head}hello`, end)
      t.equal((await failureOf(read(origin, { purpose: 'transfer' }))).code, 'PROVIDER_UNAVAILABLE')
    }
  }
})
