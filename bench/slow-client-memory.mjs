// Measures the memory of a download through the plugin with a slow client. There are three processes: a WebDAV server
// that generates the bytes, a Fastify server with `storageBackendHook`, and this client. After each MB, it stops
// reading until the WebDAV server cannot send more, so that all buffers in between stay full. Prints one line of
// JSON. `node bench/slow-client-memory.mjs 256` downloads 256 MB; default: 1024.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../scripts/arguments.mjs'

const MIB = 1024 * 1024
const SAMPLE_MS = 10
/** The number of times in a row that the WebDAV server must report no progress. */
const STANDSTILL = 5
const ROLES = { upstream, server }

const [role = '1024', argument] = readArguments('Usage: npm run bench:memory [-- MEGABYTES]', 2)
if (role in ROLES) await ROLES[role](argument)
else await measure(Number(role) * MIB)

/** Responds to requests of the parent process. */
function answer(answers) {
  process.on('message', async (question) => {
    process.send((await answers[question]()) ?? 'done')
  })
  process.on('disconnect', () => process.exit())
  process.send('ready')
}

async function upstream(size) {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let sent = 0
  const isFolder = (url) => url.endsWith('/')
  const server = createServer(async (request, response) => {
    request.resume()
    if (request.method === 'PUT') {
      response.writeHead(412).end()
    } else if (request.method === 'PROPFIND') {
      const type = isFolder(request.url) ? '<resourcetype><collection/></resourcetype>' : '<resourcetype/>'
      response.writeHead(207, { 'content-type': 'application/xml' })
      response.end(
        `<multistatus xmlns="DAV:"><response><href>${request.url}</href><propstat><prop>${type}</prop>` +
          '<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>'
      )
    } else {
      response.writeHead(200, { 'content-length': size, etag: '"1"', 'content-type': 'application/octet-stream' })
      for (sent = 0; sent < Number(size); sent += chunk.length) {
        if (!response.write(chunk)) await once(response, 'drain')
      }
      response.end()
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  answer({ address: () => `http://127.0.0.1:${server.address().port}/dav/`, sent: () => sent })
}

async function server() {
  const { default: Fastify } = await import('fastify')
  const { default: cloudStorage } = await import('../src/index.ts')
  const { openDatabase } = await import('../src/db/open-database.ts')
  const { migratedImage } = await import('../test/support/database/database-image.ts')
  // Creating the tables here would leave free memory that is still resident.
  const database = await openDatabase({ image: await migratedImage() })
  const app = Fastify()
  await app.register(cloudStorage, {
    prisma: database.prisma,
    authenticate: () => 'ann',
    encryption: { current: 'k1', keys: { k1: Buffer.alloc(32, 'k').toString('base64') } },
    providers: { webdav: { allowHosts: ['127.0.0.1'] } }
  })
  const document = { id: 'd', userId: 'ann', storageBackend: 'webdav', objectKey: 'large.bin' }
  app.get('/download', { preHandler: app.storageBackendHook({ document: () => document }) }, async (request, reply) => {
    const { signal } = new AbortController()
    const { body, size } = await request.storageBackend.download(document.objectKey, { signal })
    return reply.header('content-length', size).send(body)
  })
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  let before
  let peak
  const sample = () => {
    const now = footprint()
    peak = Object.fromEntries(Object.entries(now).map(([name, bytes]) => [name, Math.max(bytes, peak?.[name] ?? 0)]))
    return { before, peak }
  }
  setInterval(sample, SAMPLE_MS)
  answer({
    address: () => address,
    begin: () => {
      // Garbage of the start would hide later allocations.
      globalThis.gc()
      before = peak = footprint()
    },
    end: sample
  })
}

/** `rss` is the resident memory. `held` is the memory that Node uses, even in memory that was resident but free. */
function footprint() {
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, held: heapUsed + external }
}

async function start(role, execArgv, ...args) {
  const child = fork(fileURLToPath(import.meta.url), [role, ...args], { execArgv })
  // Otherwise the parent would wait for a child that has failed.
  child.once('exit', (code) => {
    if (code !== 0 && code !== null) process.exit(1)
  })
  await once(child, 'message')
  const ask = async (question) => {
    child.send(question)
    const [value] = await once(child, 'message')
    return value
  }
  return { ask, stop: () => child.disconnect() }
}

async function measure(size) {
  const dav = await start('upstream', [], String(size))
  const app = await start('server', ['--import', 'tsx', '--expose-gc'])
  const address = await app.ask('address')
  const fields = { baseUrl: await dav.ask('address'), username: 'ann', password: 'secret' }
  const connected = await fetch(`${address}/cloud/connections/webdav`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields)
  })
  if (connected.status !== 201) throw new Error(`connecting returned ${connected.status}: ${await connected.text()}`)
  await app.ask('begin')
  const began = performance.now()
  const received = await downloadSlowly(`${address}/download`, () => standstill(dav, size))
  const seconds = (performance.now() - began) / 1000
  const { before, peak } = await app.ask('end')
  if (received !== size) throw new Error(`received ${received} of ${size} bytes`)
  const inMib = (bytes) => Math.round((bytes / MIB) * 10) / 10
  const figures = {
    downloadedMib: inMib(received),
    rssBeforeMib: inMib(before.rss),
    rssAddedMib: inMib(peak.rss - before.rss),
    heldAddedMib: inMib(peak.held - before.held),
    seconds: Math.round(seconds)
  }
  console.log(JSON.stringify(figures))
  dav.stop()
  app.stop()
}

async function downloadSlowly(url, pause) {
  const asked = httpRequest(url).end()
  const [response] = await once(asked, 'response')
  if (response.statusCode !== 200) throw new Error(`the download returned ${response.statusCode}`)
  let received = 0
  let pausedAt = 0
  for await (const chunk of response) {
    received += chunk.length
    if (received - pausedAt < MIB) continue
    pausedAt = received
    await pause()
  }
  return received
}

/** Waits until all buffers are full, or everything is sent. */
async function standstill(dav, size) {
  let last = -1
  for (let same = 0; same < STANDSTILL && last < size;) {
    const sent = await dav.ask('sent')
    same = sent === last ? same + 1 : 0
    last = sent
  }
}
