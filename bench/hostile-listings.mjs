// Measures how long `/health` takes while users list folders of hostile WebDAV servers. There are two processes: a
// Fastify server with the plugin, and this one, which sends the multistatus responses and the requests. Prints one
// line of JSON. `node bench/hostile-listings.mjs 8` keeps eight listings in flight; default: 8.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { pipeline, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../scripts/arguments.mjs'
import { quantile } from './statistics.mjs'

const REQUESTS = 400
/** The pause between two requests, so that they arrive at any point of the server's work. */
const PAUSE_MS = 5
const MIB = 1024 * 1024
/** The content that costs a parser most, in turns. Each resource is nearly as large as allowed. */
const CONTENT = ['<a/>', '<a>'.repeat(60) + '</a>'.repeat(60), '<D:href>/a</D:href>', '<!---->', '<?a?>'].map((unit) =>
  unit.repeat(Math.floor(200_000 / unit.length))
)

const [first = '8'] = readArguments('Usage: npm run bench:hostile [-- LISTINGS]', 1)
if (first === 'server') await serve()
else await measure(Number(first))

async function serve() {
  const { default: Fastify } = await import('fastify')
  const { default: cloudStorage } = await import('../src/index.ts')
  const { openDatabase } = await import('../src/db/open-database.ts')
  const { migratedImage } = await import('../test/support/database/database-image.ts')
  const database = await openDatabase({ image: await migratedImage() })
  const app = Fastify()
  await app.register(cloudStorage, {
    prisma: database.prisma,
    authenticate: (request) => request.headers['x-user'],
    encryption: { current: 'k1', keys: { k1: Buffer.alloc(32, 'k').toString('base64') } },
    providers: { webdav: { allowHosts: ['127.0.0.1'] } }
  })
  app.get('/health', () => ({ ok: true }))
  process.send(await app.listen({ host: '127.0.0.1', port: 0 }))
  process.on('disconnect', () => process.exit())
}

/** Starts a WebDAV server with an empty folder. Once `isHostile`, the folder has 100 MB of one kind of content. */
async function webdavServer() {
  const state = { isHostile: false, responses: 0 }
  const server = createServer((request, response) => {
    request.resume()
    if (request.method !== 'PROPFIND') return response.writeHead(request.method === 'PUT' ? 412 : 404).end()
    response.writeHead(207, { 'content-type': 'application/xml' })
    const folder =
      `<D:response><D:href>${request.url}</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>` +
      '</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>'
    const content = state.isHostile ? CONTENT[state.responses++ % CONTENT.length] : ''
    const resource = Buffer.from(`<D:response>${content}</D:response>`)
    const body = function* () {
      yield `<D:multistatus xmlns:D="DAV:">${folder}`
      for (let sent = 0; content !== '' && sent < 100 * MIB; sent += resource.length) yield resource
      yield '</D:multistatus>'
    }
    pipeline(Readable.from(body()), response, () => {})
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { url: `http://127.0.0.1:${server.address().port}/dav/`, state, server }
}

async function measure(listings) {
  const { url, state, server } = await webdavServer()
  const child = fork(fileURLToPath(import.meta.url), ['server'], { execArgv: ['--import', 'tsx'] })
  child.once('exit', (code) => code && process.exit(1))
  const [address] = await once(child, 'message')
  const users = Array.from({ length: listings }, (_, index) => `user-${index}`)
  for (const user of users) {
    const connected = await fetch(`${address}/cloud/connections/webdav`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-user': user },
      body: JSON.stringify({ baseUrl: url, username: 'ann', password: 'secret' })
    })
    if (connected.status !== 201) throw new Error(`connecting returned ${connected.status}: ${await connected.text()}`)
  }
  await healthTimes(address)
  const quiet = await healthTimes(address)
  const stop = new AbortController()
  state.isHostile = true
  const running = users.map((user) => listAgain(address, user, stop.signal))
  while (state.responses < listings) await pause()
  const busy = await healthTimes(address)
  stop.abort()
  await Promise.all(running)
  const round = (value) => Math.round(value * 100) / 100
  const figures = {
    listings,
    responses: state.responses,
    quietP95Ms: round(quantile(quiet, 0.95)),
    p50Ms: round(quantile(busy, 0.5)),
    p95Ms: round(quantile(busy, 0.95)),
    maxMs: round(Math.max(...busy)),
    ratioP95: round(quantile(busy, 0.95) / quantile(quiet, 0.95))
  }
  console.log(JSON.stringify(figures))
  child.disconnect()
  server.closeAllConnections()
  server.close()
}

async function listAgain(address, user, signal) {
  while (!signal.aborted) {
    const answer = await fetch(`${address}/cloud/webdav/listing`, { headers: { 'x-user': user }, signal }).catch(
      () => null
    )
    await answer?.text().catch(() => null)
  }
}

async function healthTimes(address) {
  const times = []
  while (times.length < REQUESTS) {
    const began = performance.now()
    const answer = await fetch(`${address}/health`)
    await answer.text()
    times.push(performance.now() - began)
    await pause()
  }
  return times
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
