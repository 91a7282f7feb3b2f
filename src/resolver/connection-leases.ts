import { LRUCache } from 'lru-cache'
import { chooseConnection, type Connection, aboutConnection, type SealedConnection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import type { LeaseRenewal } from '../domain/metrics.ts'
import { Moment } from '../domain/moment.ts'
import type { Clock, ConnectionLeases, ConnectionStore } from '../domain/ports.ts'
import { LeaseReads, type Scope } from './lease-reads.ts'

export interface LeaseOptions {
  readonly connections: Pick<ConnectionStore, 'find' | 'findSealed' | 'listSealed'>
  /** How long what was read is believed, in milliseconds from the start of the read. 0: not at all. */
  readonly leaseMs: number
  readonly clock: Clock
  /** So many connections are believed in, and so many users' choices. Default 10,000. */
  readonly max?: number
  /** In [0, 1). Default `Math.random`. */
  readonly random?: () => number
  readonly onRenewed?: (outcome: LeaseRenewal) => void
}

/** A connection has changed, or is gone, as some process says. */
export interface ConnectionNews {
  readonly id: string
  readonly userId: string
  readonly provider: string
  readonly version: number
  readonly isGone: boolean
}

interface Believed {
  readonly connection: Connection
  readonly readAt: Moment
  /** A lease, or the shorter time that this row's takes. */
  readonly heldMs: number
}

interface Choice {
  readonly id: string
  readonly readAt: Moment
}

const MAX_LEASES = 10_000
/** A read that took longer than this, and than a lease, says what was and not what is. */
const MAX_READ_MS = 250
/**
 * Up to so much of itself a lease is shorter. Those that began together, after a start or a pause, would otherwise end
 * together for ever, and their reads would hold up whoever asks in that moment.
 */
const SPREAD = 0.5
/** A slow read has often waited for a connection to the database: the next one finds it open. */
const ATTEMPTS = 2

/**
 * What this process may still believe about connections. Of those that are not ACTIVE nothing is believed: their users
 * are about to mend them, perhaps through another process.
 */
export class Leases implements ConnectionLeases {
  readonly #options: LeaseOptions
  readonly #rows: LRUCache<string, Believed>
  /** By user, then by provider. */
  readonly #choices: LRUCache<string, Map<string, Choice>>
  readonly #reads: LeaseReads

  constructor(options: LeaseOptions) {
    const { max = MAX_LEASES, leaseMs, clock } = options
    this.#options = options
    this.#rows = new LRUCache({ max })
    this.#choices = new LRUCache({ max })
    this.#reads = new LeaseReads(clock, leaseMs)
  }

  believed(userId: string, id: string, now = this.#now()): Connection | undefined {
    const row = this.#rows.get(id)
    return row?.connection.userId === userId && row.readAt.ageAt(now) < row.heldMs ? row.connection : undefined
  }

  believedChoice(userId: string, provider: string, now = this.#now()): Connection | undefined {
    const choice = this.#choices.get(userId)?.get(provider)
    if (choice === undefined || choice.readAt.ageAt(now) >= this.#options.leaseMs) return undefined
    const connection = this.believed(userId, choice.id, now)
    return connection?.provider === provider ? connection : undefined
  }

  async find(userId: string, id: string): Promise<Connection | SealedConnection | null> {
    return this.believed(userId, id) ?? (await this.#read('findSealed', userId, id))
  }

  async choose(userId: string, provider: string): Promise<Connection | SealedConnection> {
    return (
      this.believedChoice(userId, provider) ??
      (await this.#ask({ userId, provider }, async (readAt, holds) => {
        const chosen = chooseConnection(await this.#options.connections.listSealed(userId, provider))
        if (holds() && this.#note(chosen, readAt)) this.#noteChoice(userId, provider, { id: chosen.id, readAt })
        return chosen
      }))
    )
  }

  async findSealed(userId: string, id: string): Promise<SealedConnection | null> {
    return await this.#reads.alone({ userId, id }, async (readAt, holds) => {
      const row = await this.#counted(this.#options.connections.findSealed(userId, id))
      if (!holds()) return row
      if (row === null) this.#forget(userId, id)
      else this.#note(row, readAt)
      return row
    })
  }

  /**
   * Whether a connection still is ACTIVE and leads to the same account, as far as is known of the last `withinMs`. One
   * that was renewed meanwhile is.
   *
   * @throws StorageError `CONNECTION_INACTIVE` where it is not; `DATABASE_UNAVAILABLE`
   */
  async confirm(connection: Pick<Connection, 'userId' | 'id' | 'accountId'>, withinMs: number): Promise<void> {
    const { userId, id, accountId } = connection
    const row = this.#rows.get(id)
    const isFresh = row?.connection.userId === userId && this.#age(row) < withinMs
    const now = isFresh ? row.connection : await this.#read('find', userId, id)
    if (now?.accountId === accountId && now.status === 'ACTIVE') return
    throw new StorageError('CONNECTION_INACTIVE', 'This connection was changed or removed meanwhile.').about({
      connectionId: id,
      ...(now !== null && aboutConnection(now))
    })
  }

  /** From now on nothing is believed that was read of it before, reads in flight included. */
  drop(scope: Scope): void {
    this.#reads.retire(scope)
    const { userId, provider, id } = scope
    if (id !== undefined) this.#rows.delete(id)
    if (provider !== undefined) this.#choices.peek(userId)?.delete(provider)
  }

  /** The same of everything. */
  dropAll(): void {
    this.#reads.retireAll()
    this.#rows.clear()
    this.#choices.clear()
  }

  /** Somebody says that a connection has changed. Tells whether that was news. */
  hear(news: ConnectionNews): boolean {
    const known = this.#rows.peek(news.id)?.connection
    if (!news.isGone && known !== undefined && known.version >= news.version) return false
    this.drop(news)
    return true
  }

  /** What is sealed is read along where a load may need it. */
  #read(how: 'find' | 'findSealed', userId: string, id: string): Promise<Connection | SealedConnection | null> {
    return this.#ask({ userId, id }, async (readAt, holds) => {
      const connection = await this.#options.connections[how](userId, id)
      if (!holds()) return connection
      if (connection === null) this.#forget(userId, id)
      else this.#note(connection, readAt)
      return connection
    })
  }

  async #ask<T>(scope: Scope, read: (readAt: Moment, holds: () => boolean) => Promise<T>): Promise<T> {
    const { leaseMs } = this.#options
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { answer, startedAt } = this.#reads.join(scope, (readAt, holds) => this.#counted(read(readAt, holds)))
      const value = await answer
      // Without a lease each has asked for itself, and the store's own deadline is what a read may take.
      if (leaseMs === 0 || startedAt.ageMs(this.#options.clock) <= Math.max(leaseMs, MAX_READ_MS)) return value
    }
    throw new StorageError('DATABASE_UNAVAILABLE', 'The database answers too late.')
  }

  async #counted<T>(read: Promise<T>): Promise<T> {
    const { onRenewed = () => {} } = this.#options
    try {
      const value = await read
      onRenewed(value === null ? 'missing' : 'ok')
      return value
    } catch (error) {
      onRenewed(error instanceof StorageError && error.code !== 'DATABASE_UNAVAILABLE' ? 'missing' : 'failed')
      throw error
    }
  }

  /** Whether it is believed from now on. An earlier read that ends later than another one tells nothing new. */
  #note(row: Connection | SealedConnection, readAt: Moment): boolean {
    const { clock, leaseMs, random = Math.random } = this.#options
    if (leaseMs === 0) return false
    const connection = withoutCredentials(row)
    if (connection.status !== 'ACTIVE') {
      this.#rows.delete(connection.id)
      return false
    }
    const known = this.#rows.peek(connection.id)
    if (known === undefined || this.#age(known) >= readAt.ageMs(clock)) {
      this.#rows.set(connection.id, { connection, readAt, heldMs: leaseMs * (1 - SPREAD * random()) })
    }
    return true
  }

  /** The user has no such connection; somebody else may have one of this id. */
  #forget(userId: string, id: string): void {
    if (this.#rows.peek(id)?.connection.userId === userId) this.#rows.delete(id)
  }

  #noteChoice(userId: string, provider: string, choice: Choice): void {
    const choices = this.#choices.get(userId)
    if (choices === undefined) this.#choices.set(userId, new Map([[provider, choice]]))
    else choices.set(provider, choice)
  }

  #now(): Moment {
    return new Moment(this.#options.clock)
  }

  #age({ readAt }: Believed): number {
    return readAt.ageMs(this.#options.clock)
  }
}

/** What is kept for long has no credentials, sealed or not. */
function withoutCredentials(row: Connection | SealedConnection): Connection {
  if (!('sealedCredentials' in row)) return row
  const { sealedCredentials, ...connection } = row
  return connection
}
