import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { ChangeLog } from '../../src/core/stores.ts'
import { createChangeLog } from '../../src/db/change-log.ts'
import { createConnectionStore } from '../../src/db/connection-store.ts'
import { openDatabase, type Database } from '../../src/db/open-database.ts'
import {
  isPgBouncerInstalled,
  isPostgresInstalled,
  startPgBouncer,
  startPostgres,
  type PostgresServer
} from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const INSERT = `INSERT INTO cloud_connections (id, user_id, provider, account_id, label, credentials)`
const UNAVAILABLE = { code: 'DATABASE_UNAVAILABLE' }

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** A migrated database with a connection of each of `users`. */
async function setUp(t: Test, server: PostgresServer, users = ['ann', 'bob']) {
  const url = await server.createDatabase()
  const database = await openDatabase({ url })
  t.teardown(() => database.close())
  const { prisma } = database
  for (const user of users) {
    await prisma.$executeRawUnsafe(`${INSERT} VALUES ($1, $1, 's3', 'bucket', 'Mine', 'sealed')`, user)
  }
  const log = createChangeLog(prisma)
  return { url, prisma, log, since: (await log.poll(null)).position }
}

async function idsSince(log: ChangeLog, since: string): Promise<string[] | null> {
  const { changes } = await log.poll(since)
  return changes?.map(({ id }) => id).sort() ?? null
}

const disable = (id: string) => `UPDATE cloud_connections SET status = 'DISABLED' WHERE id = '${id}'`

t.test('on a PostgreSQL server', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)
  await transactions(t, server)
  await retention(t, server)
  await poolers(t, server)
  await restarts(t, server)
  await replicas(t, server)
})

async function transactions(t: Test, server: PostgresServer): Promise<void> {
  await t.test('transactions that commit out of order are reported when they commit', async (t) => {
    const { url, log, since } = await setUp(t, server)
    const [early, late] = [await connect(t, url), await connect(t, url)]
    await early.query('BEGIN')
    await early.query(disable('ann'))
    await late.query('BEGIN')
    await late.query(disable('bob'))
    t.same(await idsSince(log, since), [])
    await late.query('COMMIT')
    const between = await log.poll(since)
    t.match(between.changes, [{ id: 'bob' }])
    await early.query('COMMIT')
    t.same(await idsSince(log, between.position), ['ann'])
    t.same(await idsSince(log, since), ['ann', 'bob'])
  })

  const everyChange = 'a poller that never sleeps sees each committed change once, and none that was rolled back'
  await t.test(everyChange, { timeout: 240_000 }, async (t) => {
    const { url, log, since: start } = await setUp(t, server, [])
    const writers = 4
    const rounds = 300
    const committed = new Set<string>()
    const rolledBack = new Set<string>()
    let isDone = false
    const writing = Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const clients = await Promise.all([connect(t, url), connect(t, url), connect(t, url)])
        for (let round = 0; round < rounds; round += 1) {
          await overlap(clients, `${String(writer)}-${String(round)}`, committed, rolledBack)
        }
      })
    ).finally(() => {
      isDone = true
    })
    const [{ seen, polls }] = await Promise.all([pollUntil(log, start, () => isDone), writing])
    t.ok(polls > 100, `${String(polls)} polls`)
    t.equal(seen.length, new Set(seen).size, 'none twice')
    t.same([...seen].sort(), [...committed].sort(), 'each committed one, and no other')
    t.ok(rolledBack.size > 0)
  })
}

/** Polls without a pause, and once more after `isDone`. */
async function pollUntil(log: ChangeLog, start: string, isDone: () => boolean) {
  const seen: string[] = []
  let since = start
  for (let polls = 1; ; polls += 1) {
    const isLast = isDone()
    const { position, changes } = await log.poll(since)
    if (changes === null) throw new Error('the changes are unknown')
    seen.push(...changes.map(({ id }) => id))
    since = position
    if (isLast) return { seen, polls }
  }
}

/** Three overlapping transactions, which end in another order than they began in: one of them partly, one not at all. */
async function overlap(
  [first, second, third]: readonly [pg.Client, pg.Client, pg.Client] | pg.Client[],
  name: string,
  committed: Set<string>,
  rolledBack: Set<string>
): Promise<void> {
  const insert = async (client: pg.Client, id: string, into: Set<string>) => {
    await client.query(`${INSERT} VALUES ($1, 'ann', 's3', $1, 'Mine', 'sealed')`, [id])
    into.add(id)
  }
  const clients = [first, second, third] as const
  for (const client of clients) await client.query('BEGIN')
  await insert(clients[0], `${name}-a`, committed)
  await insert(clients[1], `${name}-b`, rolledBack)
  await insert(clients[2], `${name}-c`, committed)
  await clients[2].query('SAVEPOINT a')
  await insert(clients[2], `${name}-d`, rolledBack)
  await clients[2].query('ROLLBACK TO a')
  await clients[2].query('SAVEPOINT b')
  await insert(clients[2], `${name}-e`, committed)
  await clients[2].query('RELEASE b')
  await clients[2].query('COMMIT')
  await clients[1].query('ROLLBACK')
  await clients[0].query('COMMIT')
}

async function retention(t: Test, server: PostgresServer): Promise<void> {
  const outlives =
    "a transaction that stays open for longer than the retention is reported, and its entry isn't deleted"
  await t.test(outlives, async (t) => {
    const { url, prisma, log, since } = await setUp(t, server)
    const client = await connect(t, url)
    await client.query('BEGIN')
    await client.query(disable('ann'))
    // As if it had begun ten hours ago.
    await client.query("UPDATE cloud_connection_changes SET at = at - interval '10 hours' WHERE connection_id = 'ann'")
    await log.prune()
    await ageMarks(prisma)
    const before = await log.poll(since)
    await client.query('COMMIT')
    await log.prune()
    await log.prune()
    t.same(await idsSince(log, before.position), ['ann'])
    await ageMarks(prisma)
    await log.prune()
    t.same(await prisma.$queryRaw`SELECT 1 AS one FROM cloud_connection_changes`, [])
  })

  await t.test('concurrent pruners neither wait for each other nor fail', async (t) => {
    const { url, prisma, log } = await setUp(t, server)
    await prisma.$executeRaw`INSERT INTO cloud_connection_changes (connection_id)
      SELECT 'c' || n FROM generate_series(1, 20000) AS n`
    const slow = await connect(t, url)
    await slow.query('BEGIN')
    const lock = async (state: string) => {
      const { rowCount } = await slow.query(
        `SELECT 1 FROM cloud_connection_changes WHERE marked_at ${state} LIMIT 100 FOR UPDATE`
      )
      t.equal(rowCount, 100)
    }
    await lock('IS NULL')
    await Promise.all(Array.from({ length: 6 }, () => log.prune()))
    await log.prune()
    await ageMarks(prisma)
    await lock('IS NOT NULL')
    for (let call = 0; call < 3; call += 1) await Promise.all([log.prune(), log.prune()])
    const [{ left } = {}] = await prisma.$queryRaw<{ left?: number }[]>`
      SELECT count(*)::int AS left FROM cloud_connection_changes`
    t.equal(left, 200, 'only the locked rows are left')
    await slow.query('COMMIT')
  })
}

/** Makes all marks look older than the retention. */
async function ageMarks(prisma: Database['prisma']): Promise<void> {
  await prisma.$executeRaw`UPDATE cloud_connection_changes SET marked_at = marked_at - interval '61 minutes'
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM cloud_connection_changes WHERE marked_at IS NOT NULL FOR UPDATE SKIP LOCKED))`
}

async function poolers(t: Test, server: PostgresServer): Promise<void> {
  await t.test('polls, pruning and the store work through PgBouncer in transaction mode', async (t) => {
    if (!requireService(t, 'pgbouncer', isPgBouncerInstalled)) return
    const { url, since } = await setUp(t, server)
    const { prisma, close } = await openDatabase({ url: await startPgBouncer(t, url), directUrl: url })
    t.teardown(close)
    const log = createChangeLog(prisma)
    const store = createConnectionStore(prisma)
    await store.assertReady()
    t.same(await idsSince(log, since), [], 'a position of a direct connection')
    // More clients than the two sessions, so that consecutive statements meet different sessions.
    const saves = Array.from({ length: 10 }, async (_, n) => {
      const user = `user${String(n)}`
      const identity = { userId: user, provider: 's3', accountId: 'bucket', label: 'Mine', scopes: [] }
      const { id } = await store.saveConnected(identity, () => 'sealed', 20)
      await log.poll(since)
      t.match(await store.update(user, id, { isDefault: true }), { isDefault: true })
      const refreshed = await store.withRefreshLock({ userId: user, id }, 5000, async (row, writes) =>
        row === null ? false : writes.reseal(row, 'sealed again')
      )
      t.ok(refreshed)
      await store.recordUse(user, id, 1000)
      await log.prune()
      return id
    })
    const ids = await Promise.all(saves)
    const changed = (await idsSince(log, since)) ?? []
    t.same([...new Set(changed)], [...ids].sort())
    t.equal(changed.length, 20, 'one for the insertion, one for the default')
    await Promise.all(ids.map((id, n) => store.remove(`user${String(n)}`, id)))
    t.equal((await idsSince(log, since))?.length, 30)
  })
}

async function restarts(t: Test, server: PostgresServer): Promise<void> {
  await t.test('changes are unknown after a restart', async (t) => {
    const { log, since } = await setUp(t, server)
    await server.stop()
    await t.rejects(log.poll(since), UNAVAILABLE)
    await server.start()
    const poll = await log.poll(since)
    t.equal(poll.changes, null)
    t.same((await log.poll(poll.position)).changes, [])
  })

  await t.test('changes are unknown after a crash of one of its processes', async (t) => {
    const { url, log, since } = await setUp(t, server)
    const client = await connect(t, url)
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    process.kill(rows[0]!.pid, 'SIGKILL')
    await until(async () => {
      await setTimeout(50)
      const poll = await log.poll(since).catch(() => undefined)
      return poll !== undefined && poll.changes === null
    })
    const poll = await log.poll(since)
    t.equal(poll.changes, null)
    t.same((await log.poll(poll.position)).changes, [])
  })
}

async function replicas(t: Test, server: PostgresServer): Promise<void> {
  await t.test('a streaming replica is rejected until it is promoted, and then its changes are unknown', async (t) => {
    const { url, prisma, since } = await setUp(t, server)
    const replica = await server.startReplica(t)
    const { prisma: standby, close } = await openDatabase({ url: replica.urlOf(url), migrate: false })
    t.teardown(close)
    const store = createConnectionStore(standby)
    const log = createChangeLog(standby)
    await prisma.$executeRawUnsafe(disable('ann'))
    await until(async () => {
      await setTimeout(20)
      return (await store.find('ann', 'ann'))?.status === 'DISABLED'
    })

    const message = /read replica\. Pass the Prisma client of the primary/
    await t.rejects(store.assertReady(), { message })
    for (const position of [null, since]) await t.rejects(log.poll(position), { ...UNAVAILABLE, cause: { message } })

    await replica.promote()
    await t.resolves(store.assertReady())
    const poll = await log.poll(since)
    t.equal(poll.changes, null)
    await standby.$executeRawUnsafe(disable('bob'))
    t.same(await idsSince(log, poll.position), ['bob'])
  })
}
