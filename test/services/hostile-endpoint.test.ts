import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { FAKE_BUCKET, FAKE_CREDENTIALS, FakeS3 } from '../fakes/s3/fake-s3.ts'
import { HOSTILE_LISTINGS, listingXml, sendsInChunks } from '../fakes/s3/hostile.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import { repeatTo } from '../support/time/cpu-time.ts'
import { startProgram } from '../support/process/start-program.ts'
import { until } from '../support/time/until.ts'

/** A clock tick of `/proc`, on all common Linux systems. */
const TICK_MS = 10
/**
 * CPU time of the whole server between a request and its response. A turn of the event loop takes at most 250 ms, and
 * a request a few turns; a blocked parser would take seconds or minutes.
 */
const MAX_CPU_MS = 2_000
const SERVER = fileURLToPath(compiledUrl('server/main.ts'))

/** Returns the user and system time of a process, for all its threads. */
async function cpuOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may contain any characters.
  const fields = stat.replace(/^.*\) /s, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

t.test('a user connects a hostile S3 endpoint', { timeout: 600_000 }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'hostile-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const fake = await FakeS3.start(t)
  const server = startProgram(t, [process.execPath, SERVER], {
    cwd: home,
    env: {
      PATH: process.env['PATH'] ?? '',
      PORT: '0',
      S3_ALLOW_HOSTS: new URL(fake.endpoint).host,
      SHUTDOWN_TIMEOUT_MS: '500'
    },
    readyText: 'The link again:'
  })
  await server.ready
  const [, origin = '', token = ''] = /^ {2}(http:\S+)\/#token=(\S+)$/m.exec(server.stdout()) ?? []
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const connected = await fetch(`${origin}/cloud/connections/s3`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ endpoint: fake.endpoint, bucket: FAKE_BUCKET, ...FAKE_CREDENTIALS })
  })
  t.equal(connected.status, 201)
  const { id } = (await connected.json()) as { id: string }
  const listing = (folder?: string): Promise<Response> => {
    const query = new URLSearchParams({ connection: id, ...(folder !== undefined && { folder }) })
    return fetch(`${origin}/cloud/s3/listing?${query.toString()}`, { headers })
  }

  await t.test('the server responds to other requests, and the listing fails', async (t) => {
    for (const [what, make] of Object.entries(HOSTILE_LISTINGS)) {
      fake.script = sendsInChunks(make())
      let isDone = false
      const failed = listing().finally(() => (isDone = true))
      let responses = 0
      while (responses === 0 || !(isDone as boolean)) {
        const before = await cpuOf(server.pid)
        const { status } = await fetch(`${origin}/health/live`)
        const spent = (await cpuOf(server.pid)) - before
        if (status !== 200 || spent > MAX_CPU_MS) t.fail(`${what}: ${status} after ${spent} ms of CPU`)
        responses++
      }
      const response = await failed
      const body = (await response.json()) as { code: string }
      t.same([response.status, body.code], [502, 'PROVIDER_ERROR'], `${what}, beside ${responses} requests`)
    }
  })

  await t.test('the server responds to other requests while it reads an endless response', async (t) => {
    const page = listingXml(repeatTo('<Contents><Key>a</Key><Size>1</Size></Contents>', 1024 * 1024))
    let release = (): void => undefined
    let isSent = false
    fake.script = (_request, response) => {
      response.writeHead(200).write(page.slice(0, -1), () => (isSent = true))
      release = () => response.end('?')
      return true
    }
    let isDone = false
    const failed = listing().finally(() => (isDone = true))
    await until(() => isSent)
    for (let count = 0; count < 20; count++) t.equal((await fetch(`${origin}/health/live`)).status, 200)
    t.equal(isDone, false)
    release()
    t.match(await (await failed).json(), { code: 'PROVIDER_ERROR' })
  })

  await t.test('the server ends on SIGTERM while such responses arrive', async (t) => {
    const flood = sendsInChunks(listingXml(repeatTo('<Contents><Key>a</Key></Contents>', 5_900_000) + '<'))
    let started = 0
    fake.script = (request, response) => {
      started++
      if (request.query.get('prefix') !== 'dripping/') return flood(request, response)
      response.writeHead(200).write('<ListBucketResult>')
      const timer = setInterval(() => response.write('<a> </a>'), 5)
      response.on('close', () => {
        clearInterval(timer)
      })
      return true
    }
    const statuses = ['dripping/', 'a/', 'b/', 'c/'].map((folder) =>
      listing(folder).then(
        ({ status }) => status,
        () => 0
      )
    )
    await until(() => started === 4)
    server.signal('SIGTERM')
    t.equal(await server.exited, 0)
    t.notOk((await Promise.all(statuses)).includes(200))
  })
})
