import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { compiledUrl } from '../support/source/compiled.ts'
import { startProgram, type StartedProgram } from '../support/process/start-program.ts'
import { until } from '../support/time/until.ts'

const SERVER = fileURLToPath(compiledUrl('server/main.ts'))
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Shared by the tests below, which depend on each other, because creating a database takes seconds. */
const home = await mkdtemp(join(tmpdir(), 'demo-'))
t.teardown(() => rm(home, { recursive: true }))

function start(t: Test, env: Record<string, string> = {}, cwd = home): StartedProgram {
  return startProgram(t, [process.execPath, SERVER], {
    cwd,
    env: { PATH: process.env.PATH ?? '', PORT: '0', ...env },
    // Not the last line, so that the test of that line fails without it, and not every start.
    readyText: '.env.example explains every variable.'
  })
}

interface Line {
  readonly text: string
  readonly url: URL
  readonly headers: Record<string, string>
}

/** Returns the printed commands, parsed like a shell after the line that sets TOKEN. */
function curlLines(out: string): Line[] {
  const token = /^TOKEN=(\S+)$/m.exec(out)?.[1] ?? ''
  return out
    .split('\n')
    .filter((line) => line.startsWith('curl '))
    .map((text) => {
      const words = [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
        ([, literal, quoted, bare]) => literal ?? quoted?.replace('$TOKEN', token) ?? bare ?? ''
      )
      const headers: Record<string, string> = {}
      words.forEach((word, at) => {
        const [name = '', value = ''] = (words[at + 1] ?? '').split(/: (.*)/s)
        if (word === '-H') headers[name.toLowerCase()] = value
      })
      return { text, url: new URL(words.at(-1) ?? ''), headers }
    })
}

const perform = ({ url, headers }: Line): Promise<Response> => fetch(url, { headers })

interface Listing {
  readonly entries: { id: string; name: string; kind: string }[]
  readonly page: { next: string | null }
}

async function checkLines(t: Test, out: string): Promise<void> {
  const lines = curlLines(out)
  t.equal(lines.length, 5)
  const [root, folder, long, connected, managed] = lines as [Line, Line, Line, Line, Line]
  const names = ((await (await perform(root)).json()) as Listing).entries.map(({ name }) => name)
  t.same(names, ['Elsewhere', 'Handbook', 'Invoices', 'Receipts', 'Welcome.txt'])
  const inFolder = (await (await perform(folder)).json()) as Listing
  t.same(
    inFolder.entries.map(({ id, kind }) => [id, kind]),
    [['Invoices/2026/', 'folder']]
  )
  const first = (await (await perform(long)).json()) as Listing
  t.equal(first.entries.length, 200)
  const next = new URL(`${long.url.href}&cursor=${encodeURIComponent(first.page.next ?? '')}`)
  const page = (await (await perform({ ...long, url: next })).json()) as Listing
  t.same(
    page.entries.map(({ name }) => name),
    Array.from({ length: 40 }, (_, at) => `Receipt ${at + 201}.txt`)
  )
  t.equal(page.page.next, null)
  for (const [line, begins] of [
    [connected, 'Reading a folder page by page\n\n001'],
    [managed, 'Welcome\n\n001']
  ] as const) {
    const answer = await perform(line)
    t.equal(answer.status, 206)
    t.match(answer.headers.get('content-range'), /^bytes 0-199\/[1-9]\d{3}$/)
    const text = await answer.text()
    t.equal(text.length, 200)
    t.ok(text.startsWith(begins), text.slice(0, 40))
  }
  // Also runs them in a shell, if bash and curl are installed.
  const pasted = lines.map(({ text }) => `${text} -sf -o /dev/null || exit 1`)
  const shell = [/^TOKEN=\S+$/m.exec(out)?.[0] ?? '', ...pasted].join('\n')
  if (hasCurl()) t.doesNotThrow(() => execFileSync('bash', ['-c', shell]))
}

function hasCurl(): boolean {
  try {
    execFileSync('bash', ['-c', 'curl --version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

let token = ''

t.test('the demo starts in an empty folder with an empty environment', async (t) => {
  const demo = start(t)
  await demo.ready
  const lines = curlLines(demo.stdout())
  await checkLines(t, demo.stdout())
  const { url, headers } = lines[0]!
  token = headers.authorization ?? ''
  t.equal(url.hostname, '127.0.0.1')
  t.match(demo.stdout(), join(home, 'data'))

  const data = join(home, 'data')
  t.same((await readdir(data)).sort(), ['objects', 'postgres', 'postgres.lock', 'secrets.json'])
  for (const [path, mode] of [
    ['', 0o700],
    ['objects', 0o700],
    ['postgres', 0o700],
    ['secrets.json', 0o600],
    ['postgres.lock', 0o600]
  ] as const) {
    t.equal((await stat(join(data, path))).mode & 0o777, mode, path)
  }
  t.same(await readdir(home), ['data'], 'no files are created beside the folder')

  await t.test('every folder can be browsed with pages of any size', async (t) => {
    const walk = async (folder: string | null, limit: number): Promise<string[]> => {
      const found: string[] = []
      for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
        const query = new URLSearchParams({
          limit: String(limit),
          ...(folder && { folder }),
          ...(cursor && { cursor })
        })
        const page = (await (
          await fetch(`${url.origin}/cloud/s3/listing?${query.toString()}`, { headers })
        ).json()) as Listing
        for (const { id, kind } of page.entries) found.push(...(kind === 'folder' ? await walk(id, limit) : [id]))
        cursor = page.page.next
      }
      return found
    }
    const whole = await walk(null, 1000)
    t.equal(new Set(whole).size, 325)
    t.match(demo.stdout(), '325 sample objects')
    t.same((await walk(null, 3)).sort(), [...whole].sort())
  })

  await t.test('connections on this machine are allowed to the sample store only', async (t) => {
    const [, store = ''] = /^ {2}Storage +(http:\/\/127\.0\.0\.1:\d+), an S3/m.exec(demo.stdout()) ?? []
    const connect = (endpoint: string) =>
      fetch(`${url.origin}/cloud/connections/s3`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({
          endpoint,
          bucket: 'samples',
          prefix: 'Handbook/',
          accessKeyId: 'a',
          secretAccessKey: 'b'
        })
      })
    for (const endpoint of [url.origin, store.replace('127.0.0.1', '127.0.0.2'), 'http://127.0.0.1:1']) {
      const answer = await connect(endpoint)
      t.equal(answer.status, 403, endpoint)
      t.match(await answer.json(), { code: 'ENDPOINT_FORBIDDEN' })
    }
    t.equal((await connect(store)).status, 201, 'a connection of the user is stored beside the demo')
  })

  await t.test('a second process is refused with the id of the first', async (t) => {
    const second = start(t)
    t.equal(await second.refused(), 1)
    t.match(second.stderr(), /^fastify-cloud-storage cannot start\. .*data is in use by process \d+/)
    t.notMatch(second.stderr(), /^ {4}at /m, 'no stack trace')
    await checkLines(t, demo.stdout())
  })

  await t.test('the token is printed once for commands, and the link is printed last', async (t) => {
    const secret = headers.authorization?.replace('Bearer ', '') ?? ''
    t.same(
      demo
        .stdout()
        .split('\n')
        .filter((line) => line.includes(secret)),
      [`  ${url.origin}/#token=${secret}`, `TOKEN=${secret}`, `  ${url.origin}/#token=${secret}`]
    )
    t.equal(
      demo.stdout().trim().split('\n').at(-1)?.trim(),
      `${url.origin}/#token=${secret}`,
      'even after many requests'
    )
    t.equal(demo.stderr(), '', 'no notice of an SDK')
    t.match(demo.stdout(), /^Preparing the demo.*\n( {2}.+ …\n)+/, 'progress')
    for (const line of demo.stdout().split('\n'))
      t.ok(line.length < 120 || line.includes(secret) || /^curl |^  Data/.test(line), line)
  })

  demo.signal('SIGTERM')
  t.equal(await demo.exited, 0)
  t.notOk((await readdir(data)).includes('postgres.lock'))
})

t.test('a second start continues with the data of the first', async (t) => {
  const demo = start(t)
  await demo.ready
  const lines = curlLines(demo.stdout())
  t.equal(lines[0]?.headers.authorization, token)
  await checkLines(t, demo.stdout())
  const answer = await fetch(new URL('/cloud/connections', lines[0]?.url), { headers: lines[0]!.headers })
  const { connections } = (await answer.json()) as { connections: { label: string }[] }
  t.equal(connections.filter(({ label }) => label === 'Sample objects').length, 1)
  t.equal(connections.length, 2)
  demo.signal('SIGINT')
  t.equal(await demo.exited, 0)
})

/** An upstream that never responds by itself. */
async function patientServer(t: Test) {
  const waiting: ServerResponse[] = []
  const server = createServer((_request, response) => waiting.push(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, waiting }
}

function connectAt(line: Line, address: string): Promise<number> {
  const body = { endpoint: `http://${address}`, bucket: 'bucket', accessKeyId: 'a', secretAccessKey: 'b' }
  return fetch(new URL('/cloud/connections/s3', line.url), {
    method: 'POST',
    headers: { ...line.headers, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  }).then(
    ({ status }) => status,
    () => 0
  )
}

t.test(
  'on SIGTERM new requests answer 503, requests in flight end or are aborted at the deadline, and the exit code is 0',
  async (t) => {
    const upstream = await patientServer(t)
    const demo = start(t, {
      S3_ALLOW_HOSTS: upstream.address,
      SHUTDOWN_TIMEOUT_MS: '3000',
      LIMIT_FAILED_CONNECTS_PER_MINUTE: '20'
    })
    await demo.ready
    const [line] = curlLines(demo.stdout()) as [Line]
    const requests = Array.from({ length: 20 }, () => connectAt(line, upstream.address))
    await until(() => upstream.waiting.length === 20)

    demo.signal('SIGTERM')
    await until(async () => (await perform(line)).status === 503)
    for (const response of upstream.waiting.slice(0, 10)) response.writeHead(404).end()
    const statuses = await Promise.all(requests)
    t.equal(statuses.filter((status) => status === 400).length, 10, 'completed')
    t.equal(statuses.filter((status) => status === 0).length, 10, 'aborted')
    t.equal(await demo.exited, 0)
    t.match(demo.stdout(), '10 requests were aborted at shutdown')
    t.notOk((await readdir(join(home, 'data'))).includes('postgres.lock'), 'the database was closed')
  }
)

t.test('a second signal ends the process at once', async (t) => {
  const upstream = await patientServer(t)
  const demo = start(t, { S3_ALLOW_HOSTS: upstream.address, SHUTDOWN_TIMEOUT_MS: '600000' })
  await demo.ready
  const [line] = curlLines(demo.stdout()) as [Line]
  const request = connectAt(line, upstream.address)
  await until(() => upstream.waiting.length === 1)
  demo.signal('SIGTERM')
  await until(async () => (await perform(line)).status === 503)
  demo.signal('SIGTERM')
  t.equal(await demo.exited, 1)
  t.equal(await request, 0)
})

t.test('a port in use is named, and the exit code is 1', async (t) => {
  const other = createTcpServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const port = String((other.address() as AddressInfo).port)
  const cwd = await mkdtemp(join(tmpdir(), 'demo-'))
  t.teardown(() => rm(cwd, { recursive: true }))
  const demo = start(t, { PORT: port }, cwd)
  t.equal(await demo.refused(), 1)
  t.match(demo.stderr(), `PORT ${port} on 127.0.0.1 is in use`)
  t.equal(demo.stdout(), '', 'before anything is prepared')
  t.same(await readdir(cwd), [])
})

t.test('production never starts a demo', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'demo-'))
  t.teardown(() => rm(cwd, { recursive: true }))
  const service = start(t, { NODE_ENV: 'production' }, cwd)
  t.equal(await service.exited, 1)
  t.match(service.stderr(), /DATABASE_URL is missing.*\n(.*\n)*.*JWT_SECRET is missing/)
  t.equal(service.stdout(), '')
  t.same(await readdir(cwd), [])
})

t.test('a folder with other content is not changed', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'demo-'))
  t.teardown(() => rm(cwd, { recursive: true }))
  await writeFile(join(cwd, 'letters.txt'), 'mine')
  const demo = start(t, { DATA_DIR: '.' }, cwd)
  t.equal(await demo.exited, 1)
  t.match(demo.stderr(), /DATA_DIR .* cannot be used for the demo: it contains other files \("letters\.txt"\)/)
  t.same(await readdir(cwd), ['letters.txt'])
})

t.test('a damaged secrets file is not replaced', async (t) => {
  const path = join(home, 'data', 'secrets.json')
  await writeFile(path, '{"jwtSecret": 5}')
  const demo = start(t)
  t.equal(await demo.exited, 1)
  t.match(demo.stderr(), 'secrets.json is damaged')
  t.equal(await readFile(path, 'utf8'), '{"jwtSecret": 5}')
})

t.test('npm start runs the command that these tests run', async (t) => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } }
  t.equal(scripts.start, 'node --import tsx server/main.ts')
})
