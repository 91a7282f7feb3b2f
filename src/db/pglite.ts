import { chmod, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Mutex, PGlite } from '@electric-sql/pglite'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import pg from 'pg'
import type { DatabaseSource } from './database-source.ts'
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

type ProtocolExecutor = Pick<PGlite, 'execProtocolStream' | 'waitReady'>

/** The first byte of the protocol messages that the server responds to: Query and Sync. */
const FINAL_MESSAGE_TYPES = new Set([0x51, 0x53])

/**
 * Shares the single session of a PGlite among several `pg` clients. So that exchanges and transactions do not
 * interleave, a client's messages are queued until its exchange is complete, and a client in a transaction holds the
 * session until the transaction ends.
 */
export class EmbeddedSession {
  readonly #db: PGlite
  readonly #mutex = new Mutex()

  constructor(db: PGlite) {
    this.#db = db
  }

  /** Returns a class of clients, as `pg.Pool` expects it. */
  clientClass(): new () => pg.Client {
    const config = () => this.#clientConfig()
    return class extends pg.Client {
      constructor() {
        super(config())
      }
    }
  }

  /** Connects a client for LISTEN. It receives the notifications of all clients of this database. */
  async connectListener(): Promise<pg.Client> {
    const client = new pg.Client(
      this.#clientConfig(() => {
        unsubscribe()
      })
    )
    const unsubscribe = this.#db.onNotification((channel, payload) => {
      client.emit('notification', { channel, payload, processId: 0 })
    })
    await client.connect()
    return client
  }

  #clientConfig(onEnd?: () => void): pg.ClientConfig {
    const access = new SessionAccess(this.#db, this.#mutex)
    // A connection uses only these two members of the database.
    const { connection } = createPgConfig(access as ProtocolExecutor as PGlite)
    const end = connection.end.bind(connection)
    const parse = connection.parse.bind(connection)
    Object.assign(connection, {
      // Prisma's adapter puts its type parsers where the protocol expects a list of type ids.
      parse: (query: object) => {
        parse({ ...query, types: undefined })
      },
      end: () => {
        onEnd?.()
        access.disconnect()
        end()
      }
    })
    // The property that replaces the socket is not in the published types.
    const config: pg.ClientConfig & { connection: typeof connection } = { connection }
    return config
  }
}

/** One client's access to the session. */
class SessionAccess implements ProtocolExecutor {
  readonly waitReady: Promise<void>
  readonly #db: PGlite
  readonly #mutex: Mutex
  #messages: Uint8Array[] = []
  #release: (() => void) | undefined
  #isBusy = false
  #disconnected = false

  constructor(db: PGlite, mutex: Mutex) {
    this.waitReady = db.waitReady
    this.#db = db
    this.#mutex = mutex
  }

  async execProtocolStream(...[message, options]: Parameters<PGlite['execProtocolStream']>) {
    this.#messages.push(message)
    if (!FINAL_MESSAGE_TYPES.has(message[0] ?? 0)) return []
    const exchange = Buffer.concat(this.#messages)
    this.#messages = []

    this.#release ??= await this.#mutex.acquire()
    if (this.#isDisconnected()) {
      await this.#releaseSession(false)
      return []
    }
    let isInTransaction = false
    this.#isBusy = true
    try {
      const responses = await this.#db.execProtocolStream(exchange, options)
      isInTransaction = this.#db.isInTransaction()
      // PGlite itself passes notifications to the listeners, whichever client's exchange contains them.
      return responses.filter(({ name }) => name !== 'notification')
    } finally {
      this.#isBusy = false
      if (!isInTransaction || this.#isDisconnected()) await this.#releaseSession(isInTransaction)
    }
  }

  /** Handles a client that has disconnected, perhaps during a transaction or an exchange. */
  disconnect(): void {
    this.#disconnected = true
    if (this.#release !== undefined && !this.#isBusy) void this.#releaseSession(true)
  }

  /** A method, since the value may change at every `await` of the callers. */
  #isDisconnected(): boolean {
    return this.#disconnected
  }

  async #releaseSession(shouldRollBack: boolean): Promise<void> {
    const release = this.#release
    this.#release = undefined
    try {
      if (shouldRollBack) await this.#db.exec('ROLLBACK')
    } catch {
      // The database is broken or closed. The next client's query reports it.
    } finally {
      release?.()
    }
  }
}
