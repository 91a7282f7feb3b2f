import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Client } from '../support/app/transfer-app.ts'
import { serverApp } from '../support/app/server-app.ts'
import { until } from '../support/time/until.ts'

const IDLE = 10_000
/**
 * Memory of an idle connection in the server. Node needs about 10 KB for a socket and its parser, and garbage of the
 * previous request may not be collected yet. A 64 KB read buffer per connection would exceed the limit.
 */
const MAX_BYTES_PER_CONNECTION = 32 * 1024
/** Connections of each slow kind. */
const SLOW = 100

/**
 * A client in a process of its own, so that its memory is not counted. It opens connections a hundred at a time,
 * sends `first` on each, waits for a response if `isAnswered`, and then sends `rest` byte by byte. It prints the
 * number of open connections, and exits when its standard input ends.
 */
const CLIENT = `
  const { connect } = require('node:net')
  const { port, count, first, rest, isAnswered } = JSON.parse(process.argv[1])
  let open = 0
  const openOne = () => new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      open++
      if (first !== '') socket.write(first)
      if (!isAnswered) resolve()
    })
    socket.on('data', resolve).on('error', () => {}).on('close', () => { open--; resolve() })
    let at = 0
    if (rest !== '') setInterval(() => { if (!socket.destroyed && at < rest.length) socket.write(rest[at++]) }, 100)
  })
  ;(async () => {
    for (let opened = 0; opened < count; opened += 100) await Promise.all(Array.from({ length: 100 }, openOne))
    console.log(open)
  })()
  process.stdin.on('close', () => process.exit()).resume()
`

interface Connections {
  readonly port: number
  readonly count: number
  /** Sent by each connection at once. */
  readonly first?: string
  /** Sent byte by byte. */
  readonly rest?: string
  readonly isAnswered?: boolean
}

/** Resolves with the number of open connections. */
async function openConnections(t: Test, options: Connections): Promise<number> {
  const all = { first: '', rest: '', isAnswered: false, ...options }
  const child = spawn(process.execPath, ['-e', CLIENT, JSON.stringify(all)], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(async () => {
    const ended = once(child, 'close')
    child.stdin.end()
    await ended
  })
  const [printed] = (await once(child.stdout, 'data')) as [Buffer]
  return Number(printed.toString())
}

async function start(t: Test) {
  const server = await serverApp(t)
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.app.server.address() as AddressInfo
  const client = new Client(server.app)
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => {
      server.app.server.getConnections((error, count) => {
        if (error) reject(error)
        else resolve(count)
      })
    })
  /** Checks that requests of another user are served. */
  const isServed = async (): Promise<void> => {
    t.equal((await client.get('/health/live')).status, 200)
    t.equal((await client.get('/cloud/object/listing', server.as('ann'))).status, 200)
  }
  return { ...server, port, connections, isServed }
}

t.test('10,000 idle connections take bounded memory, and other clients are served', async (t) => {
  const { port, connections, isServed } = await start(t)
  const first = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n'
  // Loads the code and the buffers that are needed for any number of connections.
  await openConnections(t, { port, count: 200, first, isAnswered: true })
  const before = process.memoryUsage.rss()
  t.equal(await openConnections(t, { port, count: IDLE, first, isAnswered: true }), IDLE)
  t.ok((await connections()) >= IDLE + 200, 'no connection was closed')
  const bytes = (process.memoryUsage.rss() - before) / IDLE
  t.ok(bytes < MAX_BYTES_PER_CONNECTION, `${Math.round(bytes)} bytes per connection`)
  await isServed()
})

t.test('slow clients of six kinds do not delay other clients', async (t) => {
  const { app, port, connections, isServed, as } = await start(t)
  const { authorization } = as('bob')
  const head = (line: string, length: number, ...headers: string[]): string =>
    [
      `${line} HTTP/1.1`,
      'host: x',
      `authorization: ${authorization}`,
      `content-length: ${length}`,
      ...headers,
      '',
      ''
    ].join('\r\n')
  const json = head('POST /cloud/connections/object', 1000, 'content-type: application/json')
  const upload = head('PUT /cloud/object/content?name=a', 1_000_000, 'content-type: text/plain')
  const kinds: Readonly<Record<string, Partial<Connections>>> = {
    'no bytes': {},
    'half of a head': { first: 'GET /health/live HTTP/1.1\r\nhos' },
    'a head byte by byte': { rest: json },
    'no body': { first: json },
    'a body byte by byte': { first: json, rest: ' '.repeat(1000) },
    'an upload byte by byte': { first: upload, rest: ' '.repeat(1000) }
  }
  await Promise.all(Object.values(kinds).map((kind) => openConnections(t, { port, count: SLOW, ...kind })))
  await until(async () => (await connections()) >= 3 * SLOW)
  await isServed()
  const { headersTimeout, keepAliveTimeout, timeout, requestTimeout } = app.server
  t.same(
    { headersTimeout, keepAliveTimeout, timeout },
    { headersTimeout: 30_000, keepAliveTimeout: 72_000, timeout: 120_000 },
    'and Node ends them: incomplete headers, idle connections, and connections without traffic'
  )
  t.equal(requestTimeout, 0, 'uploads may take longer; bodies of other routes have their own deadline')
  const { app: withoutUploads } = await serverApp(t, { config: { transfers: false } })
  t.equal(withoutUploads.server.requestTimeout, 30_000)
})
