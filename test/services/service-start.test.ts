import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Secret } from '../../src/core/secret.ts'
import { createCredentialCipher } from '../../src/crypto/credentials.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import {
  isPgBouncerInstalled,
  isPostgresInstalled,
  startPgBouncer,
  startPostgres
} from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { startProgram, type StartedProgram } from '../support/process/start-program.ts'
import { until } from '../support/time/until.ts'

const JWT_SECRET = 'a secret of the tests, 32 bytes and more'
const KEY = randomBytes(32).toString('base64')

function program(t: Test, path: string, env: Record<string, string>): StartedProgram {
  return startProgram(t, [process.execPath, fileURLToPath(compiledUrl(path))], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '', ...env },
    readyText: 'fastify-cloud-storage has started'
  })
}

/** Starts the service as an operator configures it. */
async function service(t: Test, env: Record<string, string>): Promise<StartedProgram> {
  const directory = await mkdtemp(join(tmpdir(), 'service-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return program(t, 'server/main.ts', {
    NODE_ENV: 'production',
    PORT: '0',
    ENCRYPTION_KEYS: `k1:${KEY}`,
    ENCRYPTION_CURRENT_KEY: 'k1',
    JWT_SECRET,
    JWT_ISSUER: 'tests',
    JWT_AUDIENCE: 'tests',
    MANAGED_DISK_DIRECTORY: join(directory, 'objects'),
    ...env
  })
}

interface StartLine {
  readonly address: string
  readonly version: string
  readonly metrics: string
  readonly redis: string
  readonly providers: readonly string[]
  readonly database: { readonly type: string; readonly host: string; readonly name: string }
}

function startLine({ stdout: out }: StartedProgram): StartLine {
  const lines = out().trim().split('\n')
  const started = lines.filter((line) => line.includes('has started'))
  if (started.length !== 1) throw new Error(`There are ${String(started.length)} start-up lines`)
  return JSON.parse(started[0]!) as StartLine
}

const token = ((): string => {
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: 'ann', iss: 'tests', aud: 'tests', exp: 4_000_000_000 }
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`
})()

/** Creates documents concurrently, which needs transactions on several connections. */
async function createDocuments(address: string, count: number): Promise<number[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const { status } = await fetch(`${address}/documents`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name: `${String(at)}.txt` })
      })
      return status
    })
  )
}

/** Adds a connection of ann to a server that is never called. Returns its id. */
async function addConnection(url: string): Promise<string> {
  const cipher = createCredentialCipher(createKeyRing({ current: 'k1', keys: { k1: KEY } }))
  const id = randomUUID()
  const sealed = cipher.seal(new Secret({}), { userId: 'ann', provider: 'webdav', id })
  const client = new pg.Client(url)
  await client.connect()
  await client.query(
    `INSERT INTO cloud_connections (id, user_id, provider, account_id, label, is_default, credentials)
      VALUES ($1, 'ann', 'webdav', 'ann', 'ann', true, $2)`,
    [id, sealed]
  )
  await client.end()
  return id
}

/** An event stream through a socket that the client does not close. */
async function openStream(t: Test, address: string, connectionId: string) {
  const { hostname, port } = new URL(address)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  const stream = { text: '', isEnded: false, failure: undefined as unknown }
  socket.setEncoding('utf8').on('data', (text: string) => (stream.text += text))
  socket.once('end', () => (stream.isEnded = true))
  socket.once('error', (error) => (stream.failure = error))
  const path = `/cloud/events?connection=${connectionId}&folder=root`
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`)
  await until(() => stream.text.includes(': watching\n\n'))
  return stream
}

async function stop(program: StartedProgram): Promise<number | null> {
  program.signal('SIGTERM')
  return program.exited
}

t.test('the start of the service', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)

  await t.test('a role without DDL permission works once another role has applied the migrations', async (t) => {
    const url = await server.createDatabase()
    const owner = new pg.Client(url)
    await owner.connect()
    t.teardown(() => owner.end())
    await owner.query("CREATE ROLE app LOGIN PASSWORD 'secret-of-app'")
    const limited = Object.assign(new URL(url), { username: 'app', password: 'secret-of-app' }).href

    const unmigrated = await service(t, { DATABASE_URL: limited, MIGRATE: 'false' })
    t.equal(await unmigrated.exited, 1)
    t.match(unmigrated.stderr(), /The migrations \w+, .* are not applied\. Run the program "migrate"/)

    const forbidden = await service(t, { DATABASE_URL: limited })
    t.equal(await forbidden.exited, 1)
    t.match(forbidden.stderr(), /The role may not change the schema/)

    const migration = program(t, 'server/migrate.ts', { DATABASE_URL: url })
    t.equal(await migration.exited, 0, migration.stderr())
    t.match(migration.stdout(), 'up to date')

    for (const statement of ['GRANT SELECT ON', 'GRANT SELECT, INSERT, UPDATE, DELETE ON']) {
      const ungranted = await service(t, { DATABASE_URL: limited, MIGRATE: 'false' })
      t.equal(await ungranted.exited, 1)
      const [grants = ''] = /GRANT .*/.exec(ungranted.stderr()) ?? []
      t.match(grants, statement, 'the message is the missing SQL')
      const part = grants.split('; ').find((each) => each.startsWith(statement)) ?? ''
      await owner.query(part)
    }

    for (const MIGRATE of ['false', 'true']) {
      const running = await service(t, { DATABASE_URL: limited, MIGRATE })
      await running.ready
      const { address, version, database, redis, metrics, providers } = startLine(running)
      t.match(version, /^\d+\.\d+\.\d+/)
      t.same(database, { type: 'postgres', host: new URL(url).host, name: new URL(url).pathname.slice(1) })
      t.same([redis, metrics, providers], ['none', 'none', ['s3', 'webdav', 'nextcloud']])
      t.equal((await fetch(`${address}/health/ready`)).status, 200)
      t.same(await createDocuments(address, 1), [201])
      t.equal(await stop(running), 0)
      t.notMatch(running.stdout() + running.stderr(), /secret-of-app|"level":[456]0/, 'no warning and no secret')
    }
  })

  await t.test('a pooler in transaction mode works with the direct address of the server', async (t) => {
    if (!requireService(t, 'pgbouncer', isPgBouncerInstalled)) return
    const url = await server.createDatabase()
    const pooled = await startPgBouncer(t, url)

    const unset = await service(t, { DATABASE_URL: pooled })
    t.equal(await unset.exited, 1)
    t.match(unset.stderr(), /pooler in transaction mode\. Set DATABASE_DIRECT_URL/)

    const running = await service(t, { DATABASE_URL: pooled, DATABASE_DIRECT_URL: url, METRICS_PORT: '0' })
    await running.ready
    const { address, metrics } = startLine(running)
    t.same(new Set(await createDocuments(address, 20)), new Set([201]), 'many requests on two connections')
    const counted = async (): Promise<string> => (await fetch(metrics)).text()
    await until(async () => /^cloud_storage_listener_connected 1$/m.test(await counted()))
    t.match(await counted(), /^http_requests_total\{method="POST",route="\/documents",status="201"\} 20$/m)
    t.equal(await stop(running), 0)
    t.notMatch(running.stdout(), /"level":[456]0/, 'no warning')

    const rotation = program(t, 'server/rotate-keys.ts', {
      DATABASE_URL: pooled,
      DATABASE_DIRECT_URL: url,
      ENCRYPTION_KEYS: `k1:${KEY}`,
      ENCRYPTION_CURRENT_KEY: 'k1'
    })
    t.equal(await rotation.exited, 0, rotation.stderr())
  })

  await t.test('SIGTERM ends open event streams cleanly, and does not wait for their clients', async (t) => {
    const url = await server.createDatabase()
    const running = await service(t, { DATABASE_URL: url, SHUTDOWN_TIMEOUT_MS: '100000' })
    await running.ready
    const { address } = startLine(running)
    const id = await addConnection(url)
    const streams = await Promise.all([1, 2, 3].map(() => openStream(t, address, id)))
    const startedAt = performance.now()
    t.equal(await stop(running), 0)
    t.ok(performance.now() - startedAt < 50_000, 'before the deadline')
    await until(() => streams.every(({ isEnded, failure }) => isEnded || failure !== undefined))
    for (const { text, failure } of streams) {
      t.equal(failure, undefined)
      t.match(text, /^HTTP\/1\.1 200 OK\r\n/)
      t.match(text, /: watching\n\n\r\n0\r\n\r\n$/, 'the last chunk has arrived')
    }
    t.notMatch(running.stdout() + running.stderr(), /"level":[456]0/, 'no warning')
  })

  await t.test('a missing Redis and a read-only folder are logged', async (t) => {
    const running = await service(t, {
      DATABASE_URL: await server.createDatabase(),
      REDIS_URL: 'redis://user:secret-of-redis@127.0.0.1:1/0',
      MANAGED_DISK_DIRECTORY: '/dev/null/objects'
    })
    await running.ready
    const { address, redis } = startLine(running)
    t.equal(redis, '127.0.0.1:1/0')
    const warnings = running
      .stdout()
      .split('\n')
      .filter((line) => line.includes('"level":40'))
    t.match(warnings.join('\n'), /Redis is unavailable; using the local cache only/)
    t.match(
      warnings.join('\n'),
      /MANAGED_DISK_DIRECTORY \/dev\/null\/objects.*The folder of managed documents is not writable/
    )
    const answer = await fetch(`${address}/health/ready`)
    t.equal(answer.status, 503)
    t.match(await answer.json(), { code: 'PROVIDER_UNAVAILABLE' })
    t.equal((await fetch(`${address}/health/live`)).status, 200)
    t.notMatch(running.stdout(), 'secret-of-redis')
    t.equal(await stop(running), 0)
  })

  await t.test('a port in use, or used twice, is reported before the database is opened', async (t) => {
    const taken = await service(t, { DATABASE_URL: await server.createDatabase() })
    await taken.ready
    const { port } = new URL(startLine(taken).address)
    for (const [env, words] of [
      [{ PORT: port }, `PORT ${port} on 127.0.0.1 is in use`],
      [{ PORT: port, METRICS_PORT: port }, 'METRICS_PORT must not be the same as PORT'],
      [{ HOST: '203.0.113.1' }, 'HOST 203.0.113.1 is not an address of this machine']
    ] as const) {
      const failed = await service(t, { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', ...env })
      t.equal(await failed.refused(), 1)
      t.match(failed.stderr(), words)
    }
    const metrics = await service(t, { DATABASE_URL: await server.createDatabase(), METRICS_PORT: port })
    t.equal(await metrics.refused(), 1)
    t.match(
      metrics.stderr(),
      `METRICS_PORT ${port} on 127.0.0.1 is in use by another process: set another METRICS_PORT`
    )
    t.equal(await stop(taken), 0)
  })
})
