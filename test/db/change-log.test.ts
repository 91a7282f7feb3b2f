import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { ChangeLog, ChangePoll } from '../../src/core/stores.ts'
import { createChangeLog } from '../../src/db/change-log.ts'
import { createConnectionStore } from '../../src/db/connection-store.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openDatabase, type Database } from '../../src/db/open-database.ts'
import { openEmbedded } from '../../src/db/pglite.ts'
import { emptyDatabase, ownDatabase } from '../support/database/database.ts'
import { migratedImage } from '../support/database/database-image.ts'
import { MemoryConnections } from '../support/database/memory-connections.ts'

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations/', import.meta.url))
const INSERT = `INSERT INTO cloud_connections (id, user_id, provider, account_id, label, credentials)`
const ANN = { id: 'c1', userId: 'ann', provider: 's3' }
const UNAVAILABLE = { code: 'DATABASE_UNAVAILABLE', retryable: true, cause: Error }

function fixture({ prisma }: Pick<Database, 'prisma'>) {
  const log = createChangeLog(prisma)
  return {
    prisma,
    log,
    /** Runs statements in one transaction. */
    run: async (...statements: string[]) => {
      await prisma.$transaction(statements.map((statement) => prisma.$executeRawUnsafe(statement)))
    },
    position: async () => (await log.poll(null)).position
  }
}

/** A database with one connection of Ann, and the position after its insertion. */
async function setUp() {
  const prepared = fixture(await emptyDatabase())
  await prepared.run(`${INSERT} VALUES ('c1', 'ann', 's3', 'bucket', 'Mine', 'sealed')`)
  return { ...prepared, since: await prepared.position() }
}

/** Returns `position` with one of its parts replaced. */
function forge(position: string, change: { server?: string; ageS?: number; snapshot?: string }): string {
  const [server = '', polledAt = '', snapshot = ''] = position.split('|')
  const forged = String(Number(polledAt) - (change.ageS ?? 0))
  return [change.server ?? server, forged, change.snapshot ?? snapshot].join('|')
}

const sorted = ({ changes }: ChangePoll) =>
  changes?.map(({ id, userId, provider }) => `${id} ${userId} ${provider}`).sort()

t.test('each change that concerns an instance is logged, once for each owner', async (t) => {
  const { run, log, since: start } = await setUp()
  let since = start
  for (const [statement, changes] of [
    [`${INSERT} VALUES ('c2', 'bob', 'webdav', 'dav', 'Mine', 'sealed')`, ['c2 bob webdav']],
    [`UPDATE cloud_connections SET status = 'DISABLED'`, ['c1 ann s3', 'c2 bob webdav']],
    [`UPDATE cloud_connections SET account_id = 'other' WHERE id = 'c1'`, ['c1 ann s3']],
    [`UPDATE cloud_connections SET is_default = true WHERE id = 'c1'`, ['c1 ann s3']],
    [`UPDATE cloud_connections SET is_default = false WHERE id = 'c1'`, ['c1 ann s3']],
    [`UPDATE cloud_connections SET user_id = 'eve' WHERE id = 'c1'`, ['c1 ann s3', 'c1 eve s3']],
    [`UPDATE cloud_connections SET provider = 'box' WHERE id = 'c1'`, ['c1 eve box', 'c1 eve s3']],
    [`UPDATE cloud_connections SET id = 'c3' WHERE id = 'c1'`, ['c1 eve box', 'c3 eve box']],
    [`DELETE FROM cloud_connections WHERE id = 'c3'`, ['c3 eve box']]
  ] as const) {
    await run(statement)
    const poll = await log.poll(since)
    t.same(sorted(poll), changes, statement)
    since = poll.position
    t.same((await log.poll(since)).changes, [], 'reported once')
  }
})

t.test('labels, verifications, uses and refreshed tokens are not logged', async (t) => {
  const { run, prisma, log, since } = await setUp()
  await run(
    `UPDATE cloud_connections SET label = 'Other', last_error_code = 'ACCESS_DENIED', last_used_at = now()`,
    `UPDATE cloud_connections SET credentials = 'sealed again'`,
    `UPDATE cloud_connections SET is_default = is_default, status = status, user_id = user_id`
  )
  t.same((await log.poll(since)).changes, [])
  t.equal((await prisma.cloudConnection.findFirstOrThrow()).credentialsRevision, 2)
})

t.test('changes that are rolled back, to a savepoint too, are not reported', async (t) => {
  const { prisma, log, since } = await setUp()
  const failed = prisma.$transaction(async (transaction) => {
    await transaction.$executeRaw`UPDATE cloud_connections SET status = 'DISABLED'`
    throw new Error('rolled back')
  })
  await t.rejects(failed, { message: 'rolled back' })
  await prisma.$transaction(async (transaction) => {
    await transaction.$executeRaw`SAVEPOINT a`
    await transaction.$executeRaw`DELETE FROM cloud_connections`
    await transaction.$executeRaw`ROLLBACK TO a`
    await transaction.$executeRaw`SAVEPOINT b`
    await transaction.$executeRawUnsafe(`${INSERT} VALUES ('c2', 'bob', 's3', 'bucket', 'Mine', 'sealed')`)
  })
  t.same(sorted(await log.poll(since)), ['c2 bob s3'])
})

t.test('a poll without a position reads the position and no changes', async (t) => {
  const { run, log } = await setUp()
  const first = await log.poll(null)
  t.equal(first.changes, null)
  await run(`DELETE FROM cloud_connections`)
  t.same((await log.poll(first.position)).changes, [ANN])
  t.same((await log.poll(first.position)).changes, [ANN], 'a position stays valid')
})

t.test('a position of something else means unknown changes', async (t) => {
  const { log, since } = await setUp()
  const nines = '9'.repeat(40)
  const snapshots = [
    '',
    '1:2',
    '0:5:',
    '5:3:',
    '3:9:2',
    '3:9:9',
    '3:9:7,5',
    '3:9:,',
    '3:9:5,',
    `1:${nines}:`,
    "1:2:'; --"
  ]
  const positions = ['', 'nonsense', '0', '5:5:', ...snapshots.map((snapshot) => forge(since, { snapshot }))]
  for (const position of positions) {
    const poll = await log.poll(position)
    t.equal(poll.changes, null, position)
    t.same((await log.poll(poll.position)).changes, [])
  }
})

t.test('up to 1,000 changes are reported, and no more are read', async (t) => {
  const { run, prisma, log, since } = await setUp()
  const insert = (from: number, to: number) =>
    run(`${INSERT} SELECT 'n' || n, 'ann', 's3', n, 'Mine', 'sealed' FROM generate_series(${from}, ${to}) AS n`)
  await insert(1, 1000)
  const { position, changes } = await log.poll(since)
  t.equal(changes?.length, 1000)
  t.equal(new Set(changes?.map(({ id }) => id)).size, 1000)
  await insert(1001, 6000)

  const sizes: number[] = []
  const spied = createChangeLog({
    $executeRaw: prisma.$executeRaw.bind(prisma),
    $queryRaw: async (query, ...values) => {
      const rows = await prisma.$queryRaw<{ changes: unknown[] }[]>(query, ...values)
      sizes.push(...rows.map(({ changes }) => changes.length))
      return rows
    }
  })
  const poll = await spied.poll(position)
  t.equal(poll.changes, null)
  t.same(sizes, [1001])
  t.same((await spied.poll(poll.position)).changes, [])
})

t.test('TRUNCATE changes all connections', async (t) => {
  const { run, log, since } = await setUp()
  await run('TRUNCATE cloud_connections')
  const poll = await log.poll(since)
  t.equal(poll.changes, null)
  t.same((await log.poll(poll.position)).changes, [])
})

t.test('changes are unknown if the previous snapshot is from the future', async (t) => {
  const { log, since } = await setUp()
  const [xmin = ''] = since.split('|')[2]?.split(':') ?? []
  const later = String(BigInt(xmin) + 1000n)
  t.equal((await log.poll(forge(since, { snapshot: `${xmin}:${later}:` }))).changes, null)
  // As numbers, and as texts, these would compare otherwise.
  const huge = '9007199254740993'
  const almost = createChangeLog(withRow({ snapshot: '5:9007199254740992:' }))
  t.equal((await almost.poll(`1|1|5:${huge}:`)).changes, null)
  const longer = createChangeLog(withRow({ snapshot: '5:100:' }))
  t.same((await longer.poll('1|1|5:99:')).changes, [])
})

/** A Prisma client that answers each poll with this row. */
function withRow(row: object): Parameters<typeof createChangeLog>[0] {
  const whole = { isReplica: false, server: '1', polledAt: 1, snapshot: '5:5:', changes: [], ...row }
  return { $queryRaw: async () => [whole], $executeRaw: async () => 0 }
}

t.test('changes are unknown after another start of the server, and after half of the retention', async (t) => {
  const { log, since } = await setUp()
  const server = since.split('|')[0] ?? ''
  t.equal((await log.poll(forge(since, { server: `1${server}` }))).changes, null)
  t.same((await log.poll(forge(since, { ageS: 1750 }))).changes, [])
  t.equal((await log.poll(forge(since, { ageS: 1801 }))).changes, null)
})

t.test('the position changes with the server and its recovery from a crash', async (t) => {
  const { prisma, position } = await setUp()
  const [server = ''] = (await position()).split('|')
  const [row] = await prisma.$queryRaw<{ start: string; reset: string }[]>`
    SELECT extract(epoch FROM pg_postmaster_start_time())::text AS start,
      extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())::text AS reset`
  t.equal(server, `${row?.start ?? ''} ${row?.reset ?? ''}`)
  // As the server does when one of its processes has crashed.
  await prisma.$queryRaw`SELECT pg_stat_reset_shared('bgwriter')::text`
  t.not((await position()).split('|')[0], server)
})

t.test('entries that were restored from another server are not reported again and again', async (t) => {
  const { run, log, since } = await setUp()
  await run(`INSERT INTO cloud_connection_changes (xid, connection_id, user_id, provider)
    SELECT '99999999999', 'c' || n, 'ann', 's3' FROM generate_series(1, 2000) AS n`)
  t.same((await log.poll(since)).changes, [])
})

t.test('a read replica is rejected by polls and by the check of the schema', async (t) => {
  const { prisma } = await ownDatabase(t)
  // PGlite has one session.
  await prisma.$executeRaw`SET search_path = public, pg_catalog`
  await prisma.$executeRaw`CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'`
  const message = /read replica\. Pass the Prisma client of the primary/
  await t.rejects(createChangeLog(prisma).poll(null), { ...UNAVAILABLE, cause: { message } })
  await t.rejects(createConnectionStore(prisma).assertReady(), { message })
})

async function countRows({ prisma }: Pick<Database, 'prisma'>): Promise<{ all: number; marked: number }> {
  const [row] = await prisma.$queryRaw<{ all: number; marked: number }[]>`
    SELECT count(*)::int AS all, count(marked_at)::int AS marked FROM cloud_connection_changes`
  return row!
}

/** Makes entries look as if they had been written or marked some minutes ago. */
const age = (column: 'at' | 'marked_at', minutes: number) =>
  `UPDATE cloud_connection_changes SET ${column} = now() AT TIME ZONE 'UTC' - interval '${minutes} minutes'`

t.test('entries are deleted an hour after they were first seen, not after they were written', async (t) => {
  const { run, log, prisma } = await setUp()
  await run('DELETE FROM cloud_connection_changes', `UPDATE cloud_connections SET status = 'ERROR'`, age('at', 600))
  await log.prune()
  t.same(await countRows({ prisma }), { all: 1, marked: 1 })
  await run(age('marked_at', 59))
  await log.prune()
  t.same(await countRows({ prisma }), { all: 1, marked: 1 }, 'marked once')
  const [{ minutes } = {}] = await prisma.$queryRaw<{ minutes?: number }[]>`
    SELECT round(extract(epoch FROM now() AT TIME ZONE 'UTC' - marked_at) / 60)::int AS minutes
    FROM cloud_connection_changes`
  t.equal(minutes, 59, 'the first mark stays')
  await run(age('marked_at', 61))
  await log.prune()
  t.same(await countRows({ prisma }), { all: 0, marked: 0 })
})

t.test('entries are marked by the time in UTC, whatever the time zone of the session', async (t) => {
  const { prisma } = await emptyDatabase()
  const marked = await prisma.$transaction(async (transaction) => {
    await transaction.$executeRaw`SET LOCAL TIME ZONE 'Asia/Kolkata'`
    await transaction.$executeRaw`DELETE FROM cloud_connection_changes`
    await transaction.$executeRawUnsafe(`${INSERT} VALUES ('c1', 'ann', 's3', 'bucket', 'Mine', 'sealed')`)
    await createChangeLog(transaction).prune()
    await createChangeLog(transaction).prune()
    return await transaction.$queryRaw<{ at: Date; marked: Date }[]>`
      SELECT at, marked_at AS marked FROM cloud_connection_changes`
  })
  t.equal(marked.length, 1)
  for (const time of Object.values(marked[0]!)) t.ok(Math.abs(time.getTime() - Date.now()) < 600_000)
})

t.test('one call marks and deletes a bounded number of entries', async (t) => {
  const { run, log, prisma } = await setUp()
  const fill = `INSERT INTO cloud_connection_changes (connection_id) SELECT n FROM generate_series(1, 6000) AS n`
  await run('DELETE FROM cloud_connection_changes', fill)
  await log.prune()
  t.same(await countRows({ prisma }), { all: 6000, marked: 5000 })
  await log.prune()
  await run(age('marked_at', 61))
  await log.prune()
  t.same(await countRows({ prisma }), { all: 1000, marked: 1000 })
  await log.prune()
  t.same(await countRows({ prisma }), { all: 0, marked: 0 })
})

t.test('entries can be marked and deleted while a publication contains all tables', async (t) => {
  const { run, log, prisma } = await setUp()
  await run('CREATE PUBLICATION everything FOR ALL TABLES')
  t.teardown(() => run('DROP PUBLICATION everything'))
  await log.prune()
  await run(age('marked_at', 61))
  await log.prune()
  t.same(await countRows({ prisma }), { all: 0, marked: 0 })
})

t.test('a role that may not write the log cannot change a connection', async (t) => {
  const { run, log, prisma, since } = await setUp()
  await run('CREATE ROLE operator', 'GRANT SELECT, UPDATE ON cloud_connections TO operator')
  t.teardown(() => run('DROP OWNED BY operator', 'DROP ROLE operator'))
  const disable = () => run('SET LOCAL ROLE operator', `UPDATE cloud_connections SET status = 'DISABLED'`)
  await t.rejects(disable(), { message: /permission denied for table cloud_connection_changes/ })
  t.match(await prisma.cloudConnection.findFirstOrThrow(), { status: 'ACTIVE' })
  t.same((await log.poll(since)).changes, [])
  await run('GRANT INSERT ON cloud_connection_changes TO operator')
  await disable()
  t.same((await log.poll(since)).changes, [ANN])
})

t.test('the migration gives the roles that write connections what they need to write the log', async (t) => {
  const database = await openEmbedded({ image: await migratedImage() })
  t.teardown(() => database.close())
  const client = await database.connect()
  t.teardown(() => client.end())
  await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  const folder = t.testdir()
  for (const name of [
    '20261122160000_init',
    '20261122160100_connection_rules',
    '20261127180000_documents_newest_first'
  ]) {
    cpSync(join(MIGRATIONS, name), join(folder, name), { recursive: true })
  }
  await migrate(client, { folder })
  await client.query(`
    CREATE ROLE service; GRANT SELECT, INSERT, UPDATE, DELETE ON cloud_connections TO service;
    CREATE ROLE "odd ""name"; GRANT DELETE ON cloud_connections TO "odd ""name";
    CREATE ROLE support; GRANT UPDATE (status) ON cloud_connections TO support;
    CREATE ROLE reader; GRANT SELECT ON cloud_connections TO reader`)
  t.same(await migrate(client), ['20261130220000_connection_changes'])
  const { rows } = await client.query(`
    SELECT rolname AS role, array_agg(privilege ORDER BY privilege) FILTER (
      WHERE has_table_privilege(rolname, 'cloud_connection_changes', privilege)) AS privileges
    FROM pg_roles, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS privilege
    WHERE rolname IN ('service', 'odd "name', 'support', 'reader') GROUP BY rolname ORDER BY rolname`)
  t.same(rows, [
    { role: 'odd "name', privileges: ['INSERT'] },
    { role: 'reader', privileges: null },
    { role: 'service', privileges: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'] },
    { role: 'support', privileges: ['INSERT'] }
  ])
})

t.test('changes that arrive through replication are logged', async (t) => {
  const { run, log, since: start } = await setUp()
  let since = start
  // The trigger that raises versions does not fire: they come with the row.
  for (const [statement, changes] of [
    [`UPDATE cloud_connections SET status = 'DISABLED', version = 2`, ['c1 ann s3']],
    [`UPDATE cloud_connections SET user_id = 'eve'`, ['c1 ann s3', 'c1 eve s3']],
    [`UPDATE cloud_connections SET provider = 'box'`, ['c1 eve box', 'c1 eve s3']],
    [`${INSERT} VALUES ('c2', 'bob', 's3', 'bucket', 'Mine', 'sealed')`, ['c2 bob s3']],
    [`DELETE FROM cloud_connections WHERE id = 'c1'`, ['c1 eve box']],
    [`TRUNCATE cloud_connections`, undefined]
  ] as const) {
    await run('SET LOCAL session_replication_role = replica', statement)
    const poll = await log.poll(since)
    t.same(sorted(poll), changes, statement)
    since = poll.position
  }
})

t.test('changes are logged in the schema of the table, whatever the search_path', async (t) => {
  const { run, log, since } = await setUp()
  await run(`SET LOCAL search_path = ''`, `UPDATE public.cloud_connections SET status = 'DISABLED'`)
  t.same((await log.poll(since)).changes, [ANN])
  await run(
    'CREATE TEMPORARY TABLE cloud_connection_changes (connection_id text, user_id text, provider text)',
    'DELETE FROM cloud_connections',
    'DROP TABLE pg_temp.cloud_connection_changes'
  )
  t.same((await log.poll(since)).changes, [ANN, ANN])
})

t.test('without a response polls and pruning report an unavailable database', async (t) => {
  const never = createChangeLog(
    { $queryRaw: () => new Promise(() => {}), $executeRaw: () => new Promise(() => {}) },
    { timeoutMs: 20 }
  )
  for (const call of [() => never.poll(null), () => never.prune()] as (() => Promise<unknown>)[]) {
    await t.rejects(call(), { ...UNAVAILABLE, cause: { message: /20 ms/ } })
  }
  const closed = await openDatabase({ url: 'postgres://nobody:secret@127.0.0.1:1/none', migrate: false })
  t.teardown(() => closed.close())
  const log = createChangeLog(closed.prisma)
  for (const call of [() => log.poll(null), () => log.prune()] as (() => Promise<unknown>)[]) {
    await t.rejects(call(), UNAVAILABLE)
  }
})

t.test('the log in memory behaves like the one in the database', async (t) => {
  const { run, log, since } = await setUp()
  const memory = new MemoryConnections()
  memory.add({ ...ANN, accountId: 'bucket' })
  const { position } = await memory.poll(null)
  await run(
    `UPDATE cloud_connections SET label = 'Other'`,
    `UPDATE cloud_connections SET is_default = true`,
    `UPDATE cloud_connections SET status = 'ERROR'`,
    `${INSERT} VALUES ('c2', 'bob', 's3', 'bucket', 'Mine', 'sealed')`,
    `DELETE FROM cloud_connections WHERE id = 'c1'`,
    `UPDATE cloud_connections SET user_id = 'eve'`
  )
  await memory.update('ann', 'c1', { label: 'Other' })
  await memory.update('ann', 'c1', { isDefault: true })
  memory.change('c1', { status: 'ERROR' })
  memory.add({ ...ANN, id: 'c2', userId: 'bob' })
  await memory.remove('ann', 'c1')
  memory.change('c2', { userId: 'eve' })
  t.same(sorted(await memory.poll(position)), sorted(await log.poll(since)))
  await sameForUnknown(t, memory)
})

async function sameForUnknown(t: Test, log: ChangeLog & MemoryConnections): Promise<void> {
  for (const since of [null, 'nonsense', '999', '-1']) t.equal((await log.poll(since)).changes, null)
  const { position } = await log.poll(null)
  for (let n = 0; n <= 1000; n += 1) log.add()
  t.equal((await log.poll(position)).changes, null)
  t.same((await log.poll((await log.poll(null)).position)).changes, [])
}
