import { PrismaPg } from '@prisma/adapter-pg'
import type pg from 'pg'
import { PrismaClient } from '../generated/prisma/client.ts'
import type { DatabaseSource } from './database-source.ts'
import { assertMigrated, migrate } from './migrate.ts'
import { openPostgres } from './postgres.ts'

export interface OpenDatabaseOptions {
  /**
   * A PostgreSQL server: `postgres://user:password@host:port/database`. Its tables are in the schema `public`. Its
   * parameters are node-postgres's, and override our limits: `?statement_timeout=60000`. Default: the embedded
   * PostgreSQL (PGlite) for tests and demonstrations: one process, one connection.
   */
  readonly url?: string | undefined
  /**
   * The server itself, if `url` leads to a pooler in transaction mode (PgBouncer). It is used for migrations and
   * LISTEN, which need a session. Connections to `url` are then opened without `statement_timeout` and
   * `idle_in_transaction_session_timeout`, which such a pooler rejects: set them for the role.
   */
  readonly directUrl?: string | undefined
  /** The folder of the embedded database, created with mode 0700 if missing. Default: in memory. */
  readonly dataDir?: string | undefined
  /**
   * `true` (the default): apply pending migrations first, as `prisma migrate deploy` does. `check`: change nothing,
   * and fail unless all migrations are applied and the role may use the tables.
   */
  readonly migrate?: boolean | 'check'
  /** Image of an embedded database (PGlite's `dumpDataDir`): opens several times faster than a new one. For tests. */
  readonly image?: Blob | undefined
}

export interface Database {
  /** For the plugin's `prisma` option, and for the application's own queries. */
  readonly prisma: PrismaClient
  /**
   * Opens a dedicated client for LISTEN, for the plugin's `listen` option. A broken connection emits `end` and never
   * ends the process. The caller ends the client; `close` ends those that are left.
   */
  readonly listen: () => Promise<pg.Client>
  /** Ends all connections, and unlocks the folder. It can be called twice. */
  readonly close: () => Promise<void>
}

/**
 * Opens the database and applies pending migrations.
 *
 * ```ts
 * const db = await openDatabase({ url: process.env.DATABASE_URL })
 * app.addHook('onClose', db.close)
 * await app.register(cloudStorage, { prisma: db.prisma, listen: db.listen, … })
 * ```
 *
 * @throws TypeError for options that contradict each other
 * @throws Error if the server is unreachable, a migration fails, or another process has the folder open
 */
export async function openDatabase(options: OpenDatabaseOptions = {}): Promise<Database> {
  const source = await openSource(options)
  try {
    const { migrate: mode = true } = options
    if (mode !== false) await assertNoPooler(source.pool)
    if (mode === 'check') await assertMigrated(source.pool)
    else if (mode) await migrateSource(source)
  } catch (error) {
    await source.close()
    throw error
  }

  const prisma = new PrismaClient({ adapter: new PrismaPg(source.pool) })
  const listeners = new Set<pg.Client>()
  let closed: Promise<void> | undefined

  async function closeAll(): Promise<void> {
    await Promise.all([prisma.$disconnect(), ...[...listeners].map((listener) => listener.end())])
    await source.close()
  }

  return {
    prisma,
    listen: async () => {
      const listener = await source.connect()
      listeners.add(listener)
      listener.once('end', () => listeners.delete(listener))
      return listener
    },
    close: () => (closed ??= closeAll())
  }
}

async function openSource({ url, directUrl, dataDir, image }: OpenDatabaseOptions): Promise<DatabaseSource> {
  if (url === undefined) {
    if (directUrl !== undefined) throw new TypeError('openDatabase: directUrl requires url')
    if (dataDir !== undefined && image !== undefined) {
      throw new TypeError('openDatabase: image is for a database in memory and cannot be combined with dataDir')
    }
    // PGlite is 20 MB of WebAssembly that a server never needs.
    const { openEmbedded } = await import('./pglite.ts')
    return openEmbedded({ dataDir, image })
  }
  if (dataDir !== undefined || image !== undefined) {
    throw new TypeError('openDatabase: url cannot be combined with dataDir or image of the embedded database')
  }
  assertServerUrl('url', url)
  if (directUrl !== undefined) assertServerUrl('directUrl', directUrl)
  return openPostgres(url, { directUrl })
}

/** Also rejects an empty variable, which is a mistake. Messages omit the URL, which contains a password. */
function assertServerUrl(name: string, url: string): void {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new TypeError(`openDatabase: ${name} must be a postgres:// URL`)
  }
  const schema = new URL(url).searchParams.get('schema')
  if (schema !== null && schema !== 'public') {
    // Prisma's own parameter, which node-postgres would silently ignore.
    throw new TypeError(`openDatabase: ${name} must not name a schema other than public`)
  }
}

/** Runs before migrations: their lock would remain in a session that the pooler passes on to other clients. */
async function assertNoPooler(pool: DatabaseSource['pool']): Promise<void> {
  try {
    await pool.query('SELECT 1')
  } catch (cause) {
    if (!(cause instanceof Error) || !/unsupported startup parameter/.test(cause.message)) throw cause
    throw new Error(
      'the URL leads to a pooler in transaction mode. Set DATABASE_DIRECT_URL (option directUrl) to its server',
      { cause }
    )
  }
}

async function migrateSource(source: DatabaseSource): Promise<void> {
  const client = await source.connect()
  try {
    await migrate(client)
  } finally {
    await client.end()
  }
}
