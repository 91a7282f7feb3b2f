// Measures how long the first request to Google Drive blocks the event loop, since it loads Google's SDK. New
// processes, one after the other, each list a folder of an emulated Drive twice. A stall is a gap between two ticks
// of a 1 ms timer. Run `npm run build` first, on an idle machine. `node bench/first-drive-request.mjs 15` starts 15
// processes; default: 7.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../scripts/arguments.mjs'

const [argument = '7', api] = readArguments('Usage: npm run bench:first-drive [-- PROCESSES]', 2)
if (argument === 'child') await child()
else await measure(Number(argument))

/** Loads first what a process that serves other requests has already loaded. */
async function child() {
  await import('fastify')
  const { default: cloudStorage } = await import('../dist/index.js')
  if (typeof cloudStorage !== 'function') throw new Error('the package exports no plugin')
  await import('../dist/services.js')
  await import('../dist/http/routes.js')
  const { createEgress } = await import('../dist/net/egress.js')
  const { Secret } = await import('../dist/core/secret.js')
  const timeouts = { connectMs: 5000, headersMs: 10_000, idleMs: 15_000, totalMs: 30_000 }
  const egress = createEgress({ allowHosts: ['127.0.0.1'], timeouts })
  const token = async () => new Secret('token')
  const context = { accessTokens: { current: token, renewed: token }, egress, timeouts }
  const server = { issuer: api, authorizationEndpoint: `${api}/auth`, tokenEndpoint: `${api}/token` }
  // A process that has just started is busy for a while.
  await setTimeout(200)

  const list = async () => {
    const { googleDrive } = await import('../dist/providers/google-drive/index.js')
    const backend = await googleDrive({ api, server }).open(context)
    const page = await backend.listFolder(null, { limit: 200, signal: new AbortController().signal })
    if (page.entries.length !== 1) throw new Error('the listing does not match the Drive')
  }
  const idle = await watch(() => setTimeout(100))
  const first = await watch(list)
  const second = await watch(list)
  await egress.close()
  process.send({ idle, first, second })
  process.disconnect()
}

/** Returns the longest time without a tick, the duration, and the CPU time, which a busy machine changes less. */
async function watch(work) {
  let last = performance.now()
  let stallMs = 0
  const note = () => {
    const now = performance.now()
    stallMs = Math.max(stallMs, now - last)
    last = now
  }
  const timer = setInterval(note, 1)
  await setTimeout(5)
  stallMs = 0
  const began = performance.now()
  const cpu = process.cpuUsage()
  await work()
  const wallMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  // Work that was still in progress at the end counts too.
  await setTimeout(5)
  clearInterval(timer)
  return { stallMs, wallMs, cpuMs: (user + system) / 1000 }
}

async function measure(processes) {
  const file = { id: '1', name: 'a', mimeType: 'text/plain', parents: ['0A'] }
  const drive = createServer(({ url }, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(url.startsWith('/drive/v3/drives') ? { drives: [] } : { files: [file] }))
  })
  await once(drive.listen(0, '127.0.0.1'), 'listening')
  const results = []
  for (let count = 0; count < processes; count += 1) {
    const started = fork(fileURLToPath(import.meta.url), ['child', `http://127.0.0.1:${drive.address().port}`])
    const exited = once(started, 'exit')
    const [message] = await Promise.race([once(started, 'message'), exited])
    await exited
    if (typeof message !== 'object') throw new Error('a process ended without a result')
    results.push(message)
  }
  drive.closeAllConnections()
  drive.close()
  const line = (what, values) => {
    const sorted = values.toSorted((a, b) => a - b)
    const figures = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)].map((value) => value.toFixed(1))
    console.log(`${what}: min ${figures[0]}, median ${figures[1]}, max ${figures[2]} ms`)
  }
  console.log(`Node ${process.version}, ${processes} processes`)
  const cases = { idle: 'without requests', first: 'the first request', second: 'the second' }
  const figures = { stallMs: 'longest stall', wallMs: 'total', cpuMs: 'CPU' }
  for (const [name, what] of Object.entries(cases)) {
    for (const [figure, meaning] of Object.entries(name === 'idle' ? { stallMs: figures.stallMs } : figures)) {
      line(
        `${what}, ${meaning}`,
        results.map((result) => result[name][figure])
      )
    }
  }
}
