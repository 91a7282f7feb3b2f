import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { errorCodeOf } from '../errors.ts'

/** The path has the same depth from src/ and from dist/. */
const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../prisma/migrations/', import.meta.url))

/** The lock id of Prisma's schema engine, so that we and `prisma migrate deploy` exclude each other. */
const LOCK_ID = 72_707_369
const LOCK_WAIT_MS = 30_000
/** The SQLSTATE of a `lock_timeout`. */
const LOCK_NOT_AVAILABLE = '55P03'
const INSUFFICIENT_PRIVILEGE = '42501'

/** The tables of the server, and the required privileges; docs/operations.md has the SQL. */
const TABLES = ['cloud_connections', 'cloud_connection_changes', 'oauth_states', 'documents']
const PRIVILEGES = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

/** Equals the schema engine's table: either program may be the first one to use a database. */
const CREATE_HISTORY = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                  VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum            VARCHAR(64) NOT NULL,
    finished_at         TIMESTAMPTZ,
    migration_name      VARCHAR(255) NOT NULL,
    logs                TEXT,
    rolled_back_at      TIMESTAMPTZ,
    started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
  )`

export interface MigrateOptions {
  /** The folder of Prisma migrations. Default: this package's own. */
  readonly folder?: string
  /** Longest wait for another migrating process, in milliseconds. Default 30,000. */
  readonly lockWaitMs?: number
}

interface Migration {
  readonly name: string
  readonly script: string
  /** SHA-256 of the script's bytes, hexadecimal. */
  readonly checksum: string
}

interface HistoryRow {
  readonly name: string
  readonly checksum: string
  readonly finished: boolean
  readonly logs: string | null
}

/**
 * Applies the pending migrations as `prisma migrate deploy` does: with the same lock and the same history, so that
 * each program continues the other's work.
 *
 * @param client a session of its own, not a pool: the lock belongs to the session
 * @returns the names of the applied migrations
 * @throws Error if a migration fails, has failed before, or was edited after it was applied
 */
export async function migrate(client: Pick<pg.Client, 'query'>, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = await readMigrations(options.folder ?? MIGRATIONS_FOLDER)
  await lock(client, options.lockWaitMs ?? LOCK_WAIT_MS)
  try {
    const pending = findPending(migrations, await readHistory(client))
    if (pending.length === migrations.length) await assertNoForeignTables(client)
    try {
      if (pending.length > 0) await client.query(CREATE_HISTORY)
      for (const migration of pending) await apply(client, migration)
    } catch (cause) {
      if (
        errorCodeOf(cause) !== INSUFFICIENT_PRIVILEGE &&
        errorCodeOf((cause as Error).cause) !== INSUFFICIENT_PRIVILEGE
      ) {
        throw cause
      }
      const reason = cause instanceof Error ? cause.message : ''
      throw new Error(`The role may not change the schema (${reason}). Run the program "migrate" with one that may`, {
        cause
      })
    }
    return pending.map(({ name }) => name)
  } finally {
    // A broken session has already lost its lock; a failure here must not hide the first error.
    await client.query('SELECT pg_advisory_unlock($1)', [LOCK_ID]).catch(() => undefined)
  }
}

/**
 * Checks that all migrations are applied and that the role may use the tables. Changes nothing, for roles that may
 * not change the schema.
 *
 * @throws Error that names the missing migrations or privileges, and the remedy
 */
export async function assertMigrated(
  client: Pick<pg.Client, 'query'>,
  { folder = MIGRATIONS_FOLDER }: Pick<MigrateOptions, 'folder'> = {}
): Promise<void> {
  const migrations = await readMigrations(folder)
  const { rows: roles } = await client.query<{ role: string }>('SELECT quote_ident(current_user) AS role')
  const role = roles[0]?.role ?? ''
  const history = await readHistory(client).catch((cause: unknown) => {
    if (errorCodeOf(cause) !== INSUFFICIENT_PRIVILEGE) throw cause
    throw new Error(`The role ${role} may not read the table _prisma_migrations. Run: ${grantsFor(role)}`, { cause })
  })
  const pending = findPending(migrations, history)
  if (pending.length > 0) {
    const names = pending.map(({ name }) => name).join(', ')
    throw new Error(
      `The migrations ${names} are not applied. Run the program "migrate" with a role that may change the schema, or ` +
        'start once with MIGRATE=true'
    )
  }
  const { rows: missingPrivileges } = await client.query(
    `SELECT 1 FROM unnest($1::text[]) AS name CROSS JOIN unnest($2::text[]) AS privilege
     WHERE NOT has_table_privilege(name, privilege)`,
    [TABLES, PRIVILEGES]
  )
  if (missingPrivileges.length > 0) throw new Error(`The role ${role} lacks privileges. Run: ${grantsFor(role)}`)
}

function grantsFor(role: string): string {
  return `GRANT SELECT ON _prisma_migrations TO ${role}; GRANT ${PRIVILEGES.join(', ')} ON ${TABLES.join(', ')} TO ${role}`
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  return Promise.all(
    names.sort().map(async (name) => {
      const script = await readFile(`${folder}/${name}/migration.sql`)
      return { name, script: script.toString('utf8'), checksum: createHash('sha256').update(script).digest('hex') }
    })
  )
}

async function lock(client: Pick<pg.Client, 'query'>, waitMs: number): Promise<void> {
  await client.query("SELECT set_config('lock_timeout', $1, false)", [`${String(waitMs)}ms`])
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_ID])
  } catch (cause) {
    if (errorCodeOf(cause) !== LOCK_NOT_AVAILABLE) throw cause
    throw new Error(`Another process has been migrating this database for more than ${String(waitMs)} ms`, { cause })
  } finally {
    await client.query('RESET lock_timeout').catch(() => undefined)
  }
}

async function readHistory(client: Pick<pg.Client, 'query'>): Promise<HistoryRow[]> {
  const { rows: found } = await client.query<{ exists: boolean }>(
    "SELECT to_regclass('_prisma_migrations') IS NOT NULL AS exists"
  )
  if (found[0]?.exists !== true) return []
  const { rows } = await client.query<HistoryRow>(`
    SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished, logs
    FROM _prisma_migrations WHERE rolled_back_at IS NULL`)
  return rows
}

/** Ignores unknown names: the host's own migrations may be in the same history. */
function findPending(migrations: readonly Migration[], history: readonly HistoryRow[]): Migration[] {
  const applied = new Map(history.map((row) => [row.name, row]))
  return migrations.filter(({ name, checksum }) => {
    const row = applied.get(name)
    if (row === undefined) return true
    if (!row.finished) {
      throw new Error(
        `Migration ${name} failed in this database and is incomplete` +
          `${row.logs === null ? '' : ` (${row.logs})`}. Repair the database, then run ` +
          `\`prisma migrate resolve --rolled-back ${name}\`, or --applied if its changes are present`
      )
    }
    if (row.checksum !== checksum) {
      throw new Error(`Migration ${name} was edited after it was applied to this database. Add a new migration instead`)
    }
    return false
  })
}

/**
 * Rejects tables of another origin. The first migration would fail, and its recorded failure would block the host's
 * own migrations as well.
 */
async function assertNoForeignTables(client: Pick<pg.Client, 'query'>): Promise<void> {
  const { rows } = await client.query<{ exists: boolean }>(
    "SELECT to_regclass('cloud_connections') IS NOT NULL AS exists"
  )
  if (rows[0]?.exists === true) {
    throw new Error(
      'This database has a table cloud_connections that these migrations did not create. Open it with ' +
        '`migrate: false`, or record the migrations with `prisma migrate resolve --applied`'
    )
  }
}

async function apply(client: Pick<pg.Client, 'query'>, { name, script, checksum }: Migration): Promise<void> {
  const id = randomUUID()
  await client.query('INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $3)', [
    id,
    checksum,
    name
  ])
  try {
    // Without parameters this is one simple query, which the server runs completely or not at all.
    await client.query(script)
  } catch (cause) {
    await client
      .query('UPDATE _prisma_migrations SET logs = $2 WHERE id = $1', [id, formatError(cause)])
      .catch(() => undefined)
    throw new Error(`Migration ${name} failed: ${formatError(cause)}`, { cause })
  }
  await client.query(
    'UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = applied_steps_count + 1 WHERE id = $1',
    [id]
  )
}

function formatError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const code = errorCodeOf(error)
  return code === undefined ? message : `${message} (${code})`
}
