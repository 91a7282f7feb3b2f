import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { openEmbedded } from '../../src/db/pglite.ts'
import { migrate } from '../../src/db/migrate.ts'
import { migratedImage } from '../support/database/database-image.ts'

const OURS = [
  '20261122160000_init',
  '20261122160100_connection_rules',
  '20261127180000_documents_newest_first',
  '20261130220000_connection_changes'
]

const database = await openEmbedded({ image: await migratedImage() })
t.teardown(() => database.close())

/** A database without tables. */
async function emptyClient(t: Test): Promise<pg.Client> {
  const client = await database.connect()
  t.teardown(() => client.end())
  await client.query('RESET TIME ZONE; DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  return client
}

async function migratedClient(t: Test): Promise<pg.Client> {
  const client = await emptyClient(t)
  await migrate(client)
  return client
}

function folderOf(t: Test, scripts: Record<string, string>): string {
  const folder = t.testdir()
  for (const [name, script] of Object.entries(scripts)) {
    mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, name, 'migration.sql'), script)
  }
  return folder
}

async function locksHeld(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 72707369"
  )
  return rows[0]?.n ?? NaN
}

async function history(client: pg.Client): Promise<unknown[]> {
  const { rows } = await client.query<object>(
    `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished, logs, rolled_back_at AS back,
       applied_steps_count AS steps FROM _prisma_migrations ORDER BY started_at`
  )
  return rows
}

t.test('an empty database gets every migration in order, and a second run has nothing to do', async (t) => {
  const client = await emptyClient(t)
  t.same(await migrate(client), OURS)
  const rows = await history(client)
  t.match(
    rows,
    OURS.map((name) => ({ name, checksum: /^[0-9a-f]{64}$/, finished: true, logs: null, back: null, steps: 1 }))
  )
  t.same(await migrate(client), [])
  t.same(await history(client), rows)
  t.equal(await locksHeld(client), 0)
})

t.test('only a later migration is applied', async (t) => {
  const client = await emptyClient(t)
  t.same(await migrate(client, { folder: folderOf(t, { '1_a': 'CREATE TABLE a ()' }) }), ['1_a'])
  const folder = folderOf(t, { '1_a': 'CREATE TABLE a ()', '2_b': 'CREATE TABLE b ()' })
  t.same(await migrate(client, { folder }), ['2_b'])
})

t.test("a host's own migrations in the same history are ignored", async (t) => {
  const client = await emptyClient(t)
  await migrate(client, { folder: folderOf(t, { '0_theirs': 'CREATE TABLE theirs ()' }) })
  t.same(await migrate(client), OURS)
})

t.test('a failed migration leaves only its record', async (t) => {
  const client = await emptyClient(t)
  const folder = folderOf(t, { '1_bad': 'CREATE TABLE half (); SELECT nonsense' })
  await t.rejects(migrate(client, { folder }), { message: /1_bad failed: .*nonsense.*42703/ })

  const { rows } = await client.query("SELECT to_regclass('half') AS half")
  t.same(rows, [{ half: null }])
  t.match(await history(client), [{ name: '1_bad', finished: false, logs: /nonsense/, back: null, steps: 0 }])
  t.equal(await locksHeld(client), 0, 'the lock is released')

  await t.rejects(migrate(client, { folder }), { message: /1_bad failed .*nonsense.*--rolled-back 1_bad/s })
  t.equal((await history(client)).length, 1, 'it is not retried')
})

t.test('a failed migration that was marked as rolled back is retried', async (t) => {
  const client = await emptyClient(t)
  await t.rejects(migrate(client, { folder: folderOf(t, { '1_bad': 'SELECT nonsense' }) }))
  await client.query('UPDATE _prisma_migrations SET rolled_back_at = now()')
  const folder = folderOf(t, { '1_bad': 'CREATE TABLE good ()' })
  t.same(await migrate(client, { folder }), ['1_bad'])
  t.same(await migrate(client, { folder }), [])
})

t.test('a migration that was edited after it was applied is refused', async (t) => {
  const client = await emptyClient(t)
  await migrate(client, { folder: folderOf(t, { '1_a': 'CREATE TABLE a ()' }) })
  const edited = folderOf(t, { '1_a': 'CREATE TABLE a (); -- and a word', '2_b': 'CREATE TABLE b ()' })
  await t.rejects(migrate(client, { folder: edited }), { message: /1_a was edited/ })
  t.equal((await history(client)).length, 1)
})

t.test('existing tables without a history are refused before anything is recorded', async (t) => {
  const client = await migratedClient(t)
  await client.query('DROP TABLE _prisma_migrations')
  await t.rejects(migrate(client), { message: /cloud_connections.*migrate: false/s })
  const { rows } = await client.query("SELECT to_regclass('_prisma_migrations') AS history")
  t.same(rows, [{ history: null }])
})

t.test('a migration may contain function bodies and several statements', async (t) => {
  const client = await emptyClient(t)
  const script =
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 7; END $$; SELECT 'a;b';"
  await migrate(client, { folder: folderOf(t, { '1_f': script }) })
  t.same((await client.query('SELECT f()')).rows, [{ f: 7 }])
})

const ROW = {
  id: 'c1',
  user_id: 'u1',
  provider: 's3',
  account_id: 'a1',
  label: 'Mine',
  credentials: 'sealed'
}

async function insertRow(
  client: pg.Client,
  changes: Partial<typeof ROW & { is_default: boolean }> = {}
): Promise<void> {
  const row = Object.entries({ ...ROW, ...changes })
  const columns = row.map(([column]) => column).join(', ')
  const marks = row.map((_, index) => `$${String(index + 1)}`).join(', ')
  await client.query(
    `INSERT INTO cloud_connections (${columns}) VALUES (${marks})`,
    row.map(([, value]) => value)
  )
}

async function versions(client: pg.Client): Promise<[version: number, credentialsRevision: number]> {
  const { rows } = await client.query<{ v: number; r: number }>(
    'SELECT version AS v, credentials_revision AS r FROM cloud_connections'
  )
  return [rows[0]?.v ?? NaN, rows[0]?.r ?? NaN]
}

t.test('the version is incremented once per visible change, and otherwise not at all', async (t) => {
  const client = await migratedClient(t)
  await insertRow(client)
  t.same(await versions(client), [1, 1])
  const steps: [assignment: string, version: number, credentialsRevision: number][] = [
    ["user_id = 'u2'", 1, 0],
    ["provider = 'webdav'", 1, 0],
    ["account_id = 'a2'", 1, 0],
    ["status = 'ERROR'", 1, 0],
    ["scopes = ARRAY['read']", 1, 0],
    ["connected_at = '2026-01-02'", 1, 0],
    ["status = 'DISABLED', scopes = '{}', account_id = 'a3'", 1, 0],
    ["status = status, scopes = scopes, connected_at = '2026-01-02'", 0, 0],
    ["label = 'Other'", 0, 0],
    ['is_default = true', 0, 0],
    ["last_error_code = 'PROVIDER_ERROR'", 0, 0],
    ["last_used_at = '2026-01-02'", 0, 0],
    ["credentials = 'sealed again'", 0, 1],
    ["credentials = 'sealed again'", 0, 0],
    ["credentials = 'once more', status = 'ACTIVE'", 1, 1]
  ]
  for (const [assignment, byVersion, byRevision] of steps) {
    const [version, revision] = await versions(client)
    await client.query(`UPDATE cloud_connections SET ${assignment}`)
    t.same(await versions(client), [version + byVersion, revision + byRevision], assignment)
  }
})

t.test('the version cannot be set by an update', async (t) => {
  const client = await migratedClient(t)
  await insertRow(client)
  await client.query('UPDATE cloud_connections SET version = 40, credentials_revision = 40')
  t.same(await versions(client), [1, 1])
  await client.query(
    "UPDATE cloud_connections SET version = 1, credentials_revision = 1, status = 'ERROR', credentials = 'x'"
  )
  t.same(await versions(client), [2, 2])
})

t.test('updated_at is set by every update, in UTC whatever the time zone of the session', async (t) => {
  const client = await migratedClient(t)
  await insertRow(client)
  await client.query("SET timezone = 'Asia/Kolkata'")
  await client.query("UPDATE cloud_connections SET updated_at = '2000-01-01', label = 'Other'")
  const { rows } = await client.query<{ age: number }>(
    "SELECT extract(epoch FROM (now() AT TIME ZONE 'UTC') - updated_at)::float AS age FROM cloud_connections"
  )
  t.ok(Math.abs(rows[0]?.age ?? NaN) < 60)
})

t.test('a user has at most one default per provider', async (t) => {
  const client = await migratedClient(t)
  await insertRow(client, { id: '1', account_id: '1', is_default: true })
  await insertRow(client, { id: '2', account_id: '2' })
  await t.rejects(client.query("UPDATE cloud_connections SET is_default = true WHERE id = '2'"), { code: '23505' })
  await insertRow(client, { id: '3', account_id: '3', provider: 'webdav', is_default: true })
  await insertRow(client, { id: '4', account_id: '4', user_id: 'u2', is_default: true })
})

t.test('changes that concern other processes are notified, and no others', async (t) => {
  const client = await migratedClient(t)
  const heard: unknown[] = []
  client.on('notification', ({ payload }) => heard.push(JSON.parse(payload ?? '')))
  await client.query('LISTEN cloud_connections')

  await insertRow(client)
  await client.query("UPDATE cloud_connections SET label = 'Other', credentials = 'sealed again'")
  await client.query("UPDATE cloud_connections SET status = 'ERROR'")
  await client.query('UPDATE cloud_connections SET is_default = true')
  await client.query("UPDATE cloud_connections SET user_id = 'u2'")
  await client.query('DELETE FROM cloud_connections')
  await client.query('TRUNCATE cloud_connections')
  t.same(heard, [
    { id: 'c1', userId: 'u1', provider: 's3', version: 1 },
    { id: 'c1', userId: 'u1', provider: 's3', version: 2 },
    { id: 'c1', userId: 'u1', provider: 's3', version: 2 },
    { id: 'c1', userId: 'u1', provider: 's3', version: 2, deleted: true },
    { id: 'c1', userId: 'u2', provider: 's3', version: 3 },
    { id: 'c1', userId: 'u2', provider: 's3', version: 3, deleted: true },
    {}
  ])
})

t.test('a notification that would be too long reports that anything may have changed', async (t) => {
  const client = await migratedClient(t)
  const heard: unknown[] = []
  client.on('notification', ({ payload }) => heard.push(payload))
  await client.query('LISTEN cloud_connections')
  // Such an ID fits the index, because it compresses well.
  const id = 'é'.repeat(5000)
  await insertRow(client, { id })
  await client.query("UPDATE cloud_connections SET status = 'ERROR'")
  await client.query('DELETE FROM cloud_connections')
  t.same(heard, ['{}', '{}', '{}'])
})
