import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createConnection, createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { NewConnection } from '../../src/core/stores.ts'
import { createConnectionStore } from '../../src/db/connection-store.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openDatabase, type Database } from '../../src/db/open-database.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import { isPostgresInstalled, startPostgres, type PostgresServer } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const OURS = [
  '20261122160000_init',
  '20261122160100_connection_rules',
  '20261127180000_documents_newest_first',
  '20261130220000_connection_changes'
]
const UNAVAILABLE = { code: 'DATABASE_UNAVAILABLE', retryAfterMs: Number }

function aConnection(changes: Partial<NewConnection> = {}): NewConnection {
  return { userId: 'ann', provider: 's3', accountId: 'bucket', label: 'Mine', scopes: [], ...changes }
}

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function open(t: Test, url: string): Promise<Database> {
  const database = await openDatabase({ url })
  t.teardown(() => database.close())
  return database
}

async function history(client: pg.Client): Promise<object[]> {
  const { rows } = await client.query<object>(`
    SELECT migration_name AS name, finished_at IS NOT NULL AS finished, applied_steps_count AS steps
    FROM _prisma_migrations ORDER BY migration_name`)
  return rows
}

const APPLIED_ONCE = OURS.map((name) => ({ name, finished: true, steps: 1 }))

/** Runs a program in a process of its own. Returns its exit code and output. */
async function run(
  args: readonly string[],
  env: Record<string, string> = {}
): Promise<{ code: unknown; output: string }> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as unknown[]
  return { code, output }
}

const pathOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const runPrisma = (url: string, ...args: string[]) =>
  run([pathOf('scripts/run-prisma.mjs'), ...args], { DATABASE_URL: url })

t.test('on a PostgreSQL server', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)
  await migrations(t, server)
  await announcements(t, server)
  await races(t, server)
  await failures(t, server)
})

async function migrations(t: Test, server: PostgresServer): Promise<void> {
  await t.test('six processes that start together apply each migration once', async (t) => {
    const url = await server.createDatabase()
    const program = [fileURLToPath(compiledUrl('test/support/database/open-and-close.ts')), url]
    const ended = await Promise.all(Array.from({ length: 6 }, () => run(program)))
    for (const { code, output } of ended) t.equal(code, 0, output)
    t.same(await history(await connect(t, url)), APPLIED_ONCE)
  })

  await t.test('after prisma migrate deploy our migrations have nothing left to apply', async (t) => {
    const url = await server.createDatabase()
    const { code, output } = await runPrisma(url, 'migrate', 'deploy')
    t.equal(code, 0, output)
    const client = await connect(t, url)
    t.same(await history(client), APPLIED_ONCE)
    t.same(await migrate(client), [])
    t.same(await history(client), APPLIED_ONCE)
  })

  await t.test(
    'after our migrations prisma migrate deploy has nothing left to apply, and the schema has not drifted',
    async (t) => {
      const url = await server.createDatabase()
      const client = await connect(t, url)
      t.same(await migrate(client), OURS)
      const deployed = await runPrisma(url, 'migrate', 'deploy')
      t.match(deployed, { code: 0, output: 'No pending migrations to apply' })
      t.match(await runPrisma(url, 'migrate', 'status'), { code: 0, output: 'Database schema is up to date' })
      t.same(await history(client), APPLIED_ONCE)
    }
  )

  await t.test('a process that waits too long for the lock fails, and does not delay the next one', async (t) => {
    const url = await server.createDatabase()
    const [holder, waiter] = [await connect(t, url), await connect(t, url)]
    await holder.query('SELECT pg_advisory_lock(72707369)')
    await t.rejects(migrate(waiter, { lockWaitMs: 50 }), { message: /more than 50 ms/ })
    await holder.query('SELECT pg_advisory_unlock(72707369)')
    t.same(await migrate(waiter), OURS)
    t.same(await migrate(holder), [], 'the waiting process released the lock')
    t.same((await waiter.query('SHOW lock_timeout')).rows, [{ lock_timeout: '0' }])
  })
}

async function announcements(t: Test, server: PostgresServer): Promise<void> {
  await t.test('insertions, changes and removals are notified to a listener in another session', async (t) => {
    const { prisma, listen } = await open(t, await server.createDatabase())
    const store = createConnectionStore(prisma)
    const listener = await listen()
    const heard: unknown[] = []
    listener.on('notification', ({ payload }) => heard.push(JSON.parse(payload ?? '')))
    await listener.query('LISTEN cloud_connections')

    const { id } = await store.saveConnected(aConnection(), () => 'sealed', 20)
    await prisma.cloudConnection.update({ where: { id }, data: { label: 'Other', credentials: 'sealed again' } })
    await prisma.cloudConnection.update({ where: { id }, data: { status: 'DISABLED' } })
    await store.remove('ann', id)
    await until(() => heard.length >= 3)
    t.same(heard, [
      { id, userId: 'ann', provider: 's3', version: 1 },
      { id, userId: 'ann', provider: 's3', version: 2 },
      { id, userId: 'ann', provider: 's3', version: 2, deleted: true }
    ])
  })

  await t.test('times are correct in a session whose time zone is not UTC', async (t) => {
    const { prisma } = await open(t, await server.createDatabase())
    t.same(await prisma.$queryRaw`SELECT current_setting('timezone') AS zone`, [{ zone: 'Asia/Kolkata' }])
    const date = Date.now()
    const store = createConnectionStore(prisma, { clock: { now: () => 0, date: () => date } })
    const saved = await store.saveConnected(aConnection(), () => 'sealed', 20)
    t.equal(saved.connectedAt.getTime(), date)
    t.ok(Math.abs(saved.createdAt.getTime() - date) < 60_000)
    await prisma.cloudConnection.update({ where: { id: saved.id }, data: { label: 'Other' } })
    const row = await prisma.cloudConnection.findFirstOrThrow()
    t.ok(Math.abs(row.updatedAt.getTime() - date) < 60_000)
    t.same(await store.remove('ann', saved.id), { ...saved, label: 'Other', sealedCredentials: 'sealed' })
  })
}

/** Twelve stores on two pools of one database, like two instances of a service. */
async function twelveStores(t: Test, url: string) {
  const { prisma } = await open(t, url)
  const { prisma: other } = await open(t, url)
  const stores = Array.from({ length: 12 }, (_, n) =>
    createConnectionStore(n % 2 === 0 ? prisma : other, { timeoutMs: 20_000 })
  )
  return { prisma, stores }
}

async function races(t: Test, server: PostgresServer): Promise<void> {
  await t.test('concurrent saves of one account are one row, which is inserted once and then renewed', async (t) => {
    const { prisma, stores } = await twelveStores(t, await server.createDatabase())
    const saved = await Promise.all(
      stores.map((store, n) => store.saveConnected(aConnection(), (id) => `sealed ${String(n)} for ${id}`, 20))
    )
    t.equal(new Set(saved.map(({ id }) => id)).size, 1)
    const versions = saved.map(({ version }) => version).sort((a, b) => a - b)
    t.same(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'each renewal increments the version')
    t.equal(await prisma.cloudConnection.count(), 1)
  })

  await t.test('concurrent saves of many accounts do not exceed the limit', async (t) => {
    const { prisma, stores } = await twelveStores(t, await server.createDatabase())
    const settled = await Promise.allSettled(
      stores.map((store, n) => store.saveConnected(aConnection({ accountId: String(n) }), () => 'sealed', 3))
    )
    const refused = settled.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown)
    t.equal(refused.length, 9)
    for (const error of refused) t.match(error, { code: 'INVALID_REQUEST' })
    t.equal(await prisma.cloudConnection.count(), 3)
  })

  await t.test('the same holds under a stricter default isolation level', async (t) => {
    const url = await server.createDatabase()
    const { prisma } = await open(t, `${url}?options=-c%20default_transaction_isolation%3Drepeatable%5C%20read`)
    t.same(await prisma.$queryRaw`SELECT current_setting('default_transaction_isolation') AS level`, [
      { level: 'repeatable read' }
    ])
    const store = createConnectionStore(prisma, { timeoutMs: 20_000 })
    const saves = Array.from({ length: 8 }, () => store.saveConnected(aConnection(), () => 'sealed', 20))
    t.equal(new Set((await Promise.all(saves)).map(({ id }) => id)).size, 1)
  })

  await t.test('a connection that is removed during a renewal is either removed or renewed', async (t) => {
    const { prisma } = await open(t, await server.createDatabase())
    const store = createConnectionStore(prisma)
    for (let round = 0; round < 20; round++) {
      const { id } = await store.saveConnected(aConnection(), () => 'sealed', 20)
      await Promise.all([store.saveConnected(aConnection(), () => 'sealed', 20), store.remove('ann', id)])
    }
    t.ok((await store.list('ann')).length <= 1)
  })

  const waits = 'a save that waits too long for another writer of the same user reports an unavailable database'
  await t.test(waits, { timeout: 10_000 }, async (t) => {
    const url = await server.createDatabase()
    // Like a host's own client, which may have no timeout.
    const { prisma } = await open(t, `${url}?statement_timeout=0`)
    const store = createConnectionStore(prisma, { timeoutMs: 300 })
    const { id } = await store.saveConnected(aConnection(), () => 'sealed', 20)
    const other = await connect(t, url)
    await other.query('BEGIN')
    await other.query('SELECT 1 FROM cloud_connections WHERE id = $1 FOR UPDATE', [id])
    const seal = () => t.fail('nothing is sealed') as unknown as string
    await t.rejects(store.saveConnected(aConnection(), seal, 20), UNAVAILABLE)
    // Its connection must not keep waiting for the lock.
    await until(async () => {
      const { rows } = await other.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
      return rows.length === 0
    })
    await other.query('COMMIT')
    t.match(await store.find('ann', id), { version: 1 })
  })
}

const OTHERS = 'WHERE datname = current_database() AND pid <> pg_backend_pid()'

/** A network link that can stop passing data without closing connections. */
async function startLink(t: Test, target: string) {
  const to = new URL(target)
  let silent = false
  const proxy = createServer((near) => {
    const far = createConnection(Number(to.port), to.hostname)
    for (const [from, into] of [
      [near, far],
      [far, near]
    ] as const) {
      from.on('data', (chunk) => silent || into.write(chunk))
      from.on('close', () => into.destroy())
      from.on('error', () => into.destroy())
    }
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  const url = new URL(target)
  url.port = String((proxy.address() as AddressInfo).port)
  return {
    url: url.href,
    fallSilent: () => (silent = true),
    speakAgain: () => (silent = false)
  }
}

async function failures(t: Test, server: PostgresServer): Promise<void> {
  await t.test('connections that the server closes are replaced, and the process keeps running', async (t) => {
    const url = await server.createDatabase()
    const { prisma, listen } = await open(t, url)
    const store = createConnectionStore(prisma)
    const saved = await store.saveConnected(aConnection(), () => 'sealed', 20)
    const listener = await listen()
    const listenerEnded = new Promise((resolve) => listener.once('end', resolve))
    const admin = await connect(t, url)
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity ${OTHERS}`)
    await listenerEnded
    const found = await store.find('ann', saved.id).catch((error: unknown) => {
      // The pool may not have noticed it yet.
      t.match(error, UNAVAILABLE)
      return store.find('ann', saved.id)
    })
    t.same(found, saved)
  })

  await t.test('a broken idle connection does not end the process', async (t) => {
    const url = await server.createDatabase()
    const source = openPostgres(url)
    t.teardown(() => source.close())
    const { pool } = source
    await pool.query('SELECT 1')
    const removed = new Promise((resolve) => pool.once('remove', resolve))
    await (await connect(t, url)).query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity ${OTHERS}`)
    await removed
    t.match((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }])
  })

  await t.test('a server that stalls during a transaction affects only that connection', async (t) => {
    const link = await startLink(t, await server.createDatabase())
    const source = openPostgres(link.url, { socketIdleTimeoutMs: 300 })
    t.teardown(() => source.close())
    const { pool } = source
    const client = await pool.connect()
    // Prisma's adapter also has an error listener for the duration of a transaction,
    client.on('error', () => undefined)
    await client.query('BEGIN')
    link.fallSilent()
    await t.rejects(client.query('SELECT 1'), { code: 'ETIMEDOUT' })
    // and releases the client without reporting the error to the pool.
    client.release()
    t.equal(pool.totalCount, 0)
    link.speakAgain()
    t.match((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }])
  })

  await t.test('an unreachable server is an unavailable database until it is back', async (t) => {
    const { prisma, listen } = await open(t, await server.createDatabase())
    const store = createConnectionStore(prisma)
    const saved = await store.saveConnected(aConnection(), () => 'sealed', 20)
    await server.stop()
    await t.rejects(store.find('ann', saved.id), UNAVAILABLE)
    await t.rejects(
      store.saveConnected(aConnection(), () => 'sealed', 20),
      UNAVAILABLE
    )
    await t.rejects(store.removeAll('ann'), UNAVAILABLE)
    await t.rejects(listen(), { code: 'ECONNREFUSED' })
    await server.start()
    t.same(await store.find('ann', saved.id), saved)
  })
}
