import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { chmod, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { DatabaseSource } from './database-source.ts'
import { EmbeddedSession } from './embedded-session.ts'
import { lockFolder } from './folder-lock.ts'

export interface EmbeddedOptions {
  /** Default: in memory. */
  readonly dataDir?: string | undefined
  /** The result of another database's `dump()`. Opening it is several times cheaper than creating a database. */
  readonly image?: Blob | undefined
}

export interface EmbeddedDatabase extends DatabaseSource {
  /** Returns the whole database as an image, from which others can be opened. */
  dump(): Promise<Blob>
}

/**
 * Opens PGlite: PostgreSQL in this process, with one session, for tests and for demonstrations on one machine.
 *
 * @throws Error that names the folder and the process if another process has `dataDir` open
 */
export async function openEmbedded({ dataDir, image }: EmbeddedOptions = {}): Promise<EmbeddedDatabase> {
  const folder = dataDir === undefined ? undefined : await prepareFolder(resolve(dataDir))
  const db = await PGlite.create({
    ...(folder === undefined ? {} : { dataDir: folder.path }),
    ...(image === undefined ? {} : { loadDataDir: image })
  }).catch((error: unknown) => {
    folder?.unlock()
    throw error
  })
  const session = new EmbeddedSession(db)
  // One connection: with more, a transaction could wait forever for a statement of another connection.
  const pool = new pg.Pool({ Client: session.clientClass(), max: 1, idleTimeoutMillis: 0 })

  return {
    pool,
    connect: () => session.connectListener(),
    dump: () => db.dumpDataDir('gzip'),
    async close() {
      await pool.end()
      await db.close()
      folder?.unlock()
    }
  }
}

/**
 * Creates a private folder for PostgreSQL's files. PGlite creates files with the permissions that the umask allows,
 * and a process has only one umask.
 */
async function prepareFolder(dataDir: string): Promise<{ path: string; unlock: () => void }> {
  const path = join(dataDir, 'postgres')
  await mkdir(path, { recursive: true, mode: 0o700 })
  await chmod(path, 0o700)
  return { path, unlock: lockFolder(join(dataDir, 'postgres.lock'), dataDir) }
}
