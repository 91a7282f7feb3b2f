import { Mutex, type PGlite } from '@electric-sql/pglite'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import pg from 'pg'

type Exchange = Pick<PGlite, 'execProtocolStream' | 'waitReady'>

/** The first byte of the protocol's messages that make the server answer: Query and Sync. */
const ENDS_EXCHANGE = new Set([0x51, 0x53])

/**
 * Several `pg` clients on the one session that a PGlite has. Without care they would write into each other's
 * exchanges and transactions: a client's messages therefore wait until its exchange is whole, and a client that has
 * begun a transaction keeps the session until it has ended it.
 */
export class EmbeddedSession {
  readonly #db: PGlite
  readonly #turns = new Mutex()

  constructor(db: PGlite) {
    this.#db = db
  }

  /** A class of clients, as `pg.Pool` wants it. */
  clientClass(): new () => pg.Client {
    const config = () => this.#clientConfig()
    return class extends pg.Client {
      constructor() {
        super(config())
      }
    }
  }

  /** A client for LISTEN: it receives what any client of this database notifies. */
  async connectListener(): Promise<pg.Client> {
    const client = new pg.Client(
      this.#clientConfig(() => {
        stop()
      })
    )
    const stop = this.#db.onNotification((channel, payload) => {
      client.emit('notification', { channel, payload, processId: 0 })
    })
    await client.connect()
    return client
  }

  #clientConfig(onEnd?: () => void): pg.ClientConfig {
    const turn = new Turn(this.#db, this.#turns)
    // Of the database, a connection uses these two members alone.
    const { connection } = createPgConfig(turn as Exchange as PGlite)
    const end = connection.end.bind(connection)
    const parse = connection.parse.bind(connection)
    Object.assign(connection, {
      // Prisma's adapter puts its type parsers where the protocol has a list of type ids.
      parse: (query: object) => {
        parse({ ...query, types: undefined })
      },
      end: () => {
        onEnd?.()
        turn.leave()
        end()
      }
    })
    // Not in the published types: what a client speaks through instead of a socket.
    const config: pg.ClientConfig & { connection: typeof connection } = { connection }
    return config
  }
}

/** One client's turns at the session. */
class Turn implements Exchange {
  readonly waitReady: Promise<void>
  readonly #db: PGlite
  readonly #turns: Mutex
  #messages: Uint8Array[] = []
  #release: (() => void) | undefined
  #busy = false
  #left = false

  constructor(db: PGlite, turns: Mutex) {
    this.waitReady = db.waitReady
    this.#db = db
    this.#turns = turns
  }

  async execProtocolStream(...[message, options]: Parameters<PGlite['execProtocolStream']>) {
    this.#messages.push(message)
    if (!ENDS_EXCHANGE.has(message[0] ?? 0)) return []
    const exchange = Buffer.concat(this.#messages)
    this.#messages = []

    this.#release ??= await this.#turns.acquire()
    if (this.#hasLeft()) {
      await this.#endTurn(false)
      return []
    }
    let inTransaction = false
    this.#busy = true
    try {
      const answers = await this.#db.execProtocolStream(exchange, options)
      inTransaction = this.#db.isInTransaction()
      // Notifications come to listeners by way of PGlite, whoever's exchange they happened to arrive in.
      return answers.filter(({ name }) => name !== 'notification')
    } finally {
      this.#busy = false
      if (!inTransaction || this.#hasLeft()) await this.#endTurn(inTransaction)
    }
  }

  /** The client has gone, perhaps in the middle of a transaction or of an exchange. */
  leave(): void {
    this.#left = true
    if (this.#release !== undefined && !this.#busy) void this.#endTurn(true)
  }

  /** A call, since it may become true wherever the code above awaits. */
  #hasLeft(): boolean {
    return this.#left
  }

  async #endTurn(rollBack: boolean): Promise<void> {
    const release = this.#release
    this.#release = undefined
    try {
      if (rollBack) await this.#db.exec('ROLLBACK')
    } catch {
      // Then the database is broken or closed, as the next client is told by its own query.
    } finally {
      release?.()
    }
  }
}
