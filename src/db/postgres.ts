import { Socket } from 'node:net'
import pg from 'pg'
import type { DatabaseSource } from './database-source.ts'

const CONNECT_TIMEOUT_MS = 5000
const STATEMENT_TIMEOUT_MS = 15_000
/** Exceeds every statement's timeout: a socket that is silent for this long has lost its peer. */
const SOCKET_IDLE_TIMEOUT_MS = 20_000
/** Releases the locks of a forgotten transaction, or of a paused process. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
const KEEP_ALIVE_DELAY_MS = 10_000
/** Timeout for closing a connection gracefully. */
const CLOSE_TIMEOUT_MS = 1_000

export interface PostgresOptions {
  /** The server behind `url`, which then leads to a pooler in transaction mode. */
  readonly directUrl?: string | undefined
  /** For tests. */
  readonly socketIdleTimeoutMs?: number
}

/** @param url `postgres://…`; its own parameters (`?statement_timeout=…`) override the values here */
export function openPostgres(
  url: string,
  { directUrl, socketIdleTimeoutMs = SOCKET_IDLE_TIMEOUT_MS }: PostgresOptions = {}
): DatabaseSource {
  const clientConfig = {
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    application_name: 'fastify-cloud-storage'
  }
  const pool = new pg.Pool({
    ...clientConfig,
    connectionString: url,
    // Session settings: a pooler that shares sessions rejects them.
    ...(directUrl === undefined && {
      statement_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS
    }),
    stream: () => createIdleTimeoutSocket(socketIdleTimeoutMs)
  })
  pool.on('error', () => {
    // An idle connection failed, and the pool has removed it. Unhandled, this event would end the process.
  })

  return {
    pool,
    async connect() {
      // Without a statement timeout: migrations take long, and a listener sends its own heartbeat.
      const client = new DedicatedClient({ ...clientConfig, connectionString: directUrl ?? url })
      client.on('error', () => {
        // The owner gets an `end` event. Unhandled, this event would end the process.
      })
      await client.connect()
      return client
    },
    close: () => pool.end()
  }
}

/** A connection outside of the pool. Its `end` does not wait for a server that has vanished. */
class DedicatedClient extends pg.Client {
  readonly #socket: Socket

  constructor(config: pg.ClientConfig) {
    const socket = new Socket()
    super({ ...config, stream: () => socket })
    this.#socket = socket
  }

  override end(): Promise<void>
  override end(callback: (error: Error) => void): void
  override end(callback?: (error: Error) => void): Promise<void> | undefined {
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS)
    this.once('end', () => {
      clearTimeout(timer)
    })
    if (callback === undefined) return super.end()
    super.end(callback)
    return undefined
  }
}

/**
 * Destroys itself after a silence. A server that has vanished does not apply `statement_timeout`. `pg`'s own
 * `query_timeout` would leave the dead connection in the pool for the next transaction; a destroyed socket removes
 * it.
 */
function createIdleTimeoutSocket(socketIdleTimeoutMs: number): Socket {
  const socket = new Socket()
  socket.setTimeout(socketIdleTimeoutMs, () => {
    socket.destroy(Object.assign(new Error('The database sent no data for too long'), { code: 'ETIMEDOUT' }))
  })
  return socket
}
