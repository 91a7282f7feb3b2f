import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { chmod, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { DatabaseSource } from './database-source.ts'
import { EmbeddedSession } from './embedded-session.ts'
import { lockFolder } from './folder-lock.ts'

export interface EmbeddedOptions {
  /** Left out: in memory. */
  readonly dataDir?: string | undefined
  /** What `dump()` of another one gave: opening it is several times cheaper than making a new database. */
  readonly image?: Blob | undefined
}

export interface EmbeddedDatabase extends DatabaseSource {
  /** The whole database, as an image to open others from. */
  dump(): Promise<Blob>
}

/**
 * Opens PGlite: PostgreSQL in this process, with one session, for tests and for demonstrations on one machine.
 *
 * @throws Error naming the folder and the process, where another process has `dataDir` open
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
  // One connection: with more, a transaction of one would wait for ever for a statement of another.
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
 * PostgreSQL's files go into a folder of their own, closed to others: PGlite creates files with whatever the umask
 * allows, and a process has but one umask.
 */
async function prepareFolder(dataDir: string): Promise<{ path: string; unlock: () => void }> {
  const path = join(dataDir, 'postgres')
  await mkdir(path, { recursive: true, mode: 0o700 })
  await chmod(path, 0o700)
  return { path, unlock: lockFolder(join(dataDir, 'postgres.lock'), dataDir) }
}
