import { LRUCache } from 'lru-cache'
import { aboutConnection, chooseConnection, type Connection, type SealedConnection } from '../core/connection.ts'
import type { ConnectionLeases, ConnectionStore } from '../core/stores.ts'
import type { LeaseRenewal } from '../core/telemetry.ts'
import { type Clock, Moment } from '../core/time.ts'
import { StorageError } from '../errors.ts'

export interface LeaseOptions {
  readonly connections: Pick<ConnectionStore, 'find' | 'findSealed' | 'listSealed'>
  /** Duration of a lease in milliseconds, from the start of the read. 0: no leases. */
  readonly leaseMs: number
  readonly clock: Clock
  /** Maximal number of leased connections, and of users with leased defaults. Default 10,000. */
  readonly max?: number
  /** Returns a number in [0, 1). Default `Math.random`. */
  readonly random?: () => number
  readonly onRenewed?: (outcome: LeaseRenewal) => void
}

/** A notification of any process that a connection has changed or was removed. */
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
  /** The duration of this lease: `leaseMs`, randomly shortened. */
  readonly heldMs: number
}

interface Choice {
  readonly id: string
  readonly readAt: Moment
}

const MAX_LEASES = 10_000
/** A read slower than this (and than the lease) is already stale. */
const MAX_READ_MS = 250
/**
 * Leases are randomly shortened by up to this share. Leases that began together, after a start or a pause, would
 * otherwise end together forever, and their reads would delay the requests of that moment.
 */
const SPREAD = 0.5
/** A slow read has often waited for a new database connection, which the next read finds open. */
const ATTEMPTS = 2

/**
 * The leases of this process. Only ACTIVE connections are leased: users are about to fix the others, perhaps through
 * another process.
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
   * Resolves if a connection is still ACTIVE and belongs to the same account, according to a read within the last
   * `withinMs`. A connection that was renewed meanwhile is accepted.
   *
   * @throws StorageError `CONNECTION_INACTIVE` otherwise; `DATABASE_UNAVAILABLE`
   */
  async confirm(connection: Pick<Connection, 'userId' | 'id' | 'accountId'>, withinMs: number): Promise<void> {
    const { userId, id, accountId } = connection
    const row = this.#rows.get(id)
    const isFresh = row?.connection.userId === userId && this.#age(row) < withinMs
    const now = isFresh ? row.connection : await this.#read('find', userId, id)
    if (now?.accountId === accountId && now.status === 'ACTIVE') return
    throw new StorageError('CONNECTION_INACTIVE', 'This connection was changed or removed during the request.').about({
      connectionId: id,
      ...(now !== null && aboutConnection(now))
    })
  }

  /** Drops the leases of a scope. The results of its reads in flight are not leased either. */
  drop(scope: Scope): void {
    this.#reads.retire(scope)
    const { userId, provider, id } = scope
    if (id !== undefined) this.#rows.delete(id)
    if (provider !== undefined) this.#choices.peek(userId)?.delete(provider)
  }

  /** Does the same for all scopes. */
  dropAll(): void {
    this.#reads.retireAll()
    this.#rows.clear()
    this.#choices.clear()
  }

  /** Processes a change notification. Returns true unless a lease already has that version. */
  hear(news: ConnectionNews): boolean {
    const known = this.#rows.peek(news.id)?.connection
    if (!news.isGone && known !== undefined && known.version >= news.version) return false
    this.drop(news)
    return true
  }

  /** Reads a row, with its sealed credentials if the caller may need them for a load. */
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
      // Without leases each caller has a read of its own, which the store's timeout limits.
      if (leaseMs === 0 || startedAt.ageMs(this.#options.clock) <= Math.max(leaseMs, MAX_READ_MS)) return value
    }
    throw new StorageError('DATABASE_UNAVAILABLE', 'The database responded too slowly.')
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

  /** Leases a row. Returns true if its connection is leased. A read never replaces a more recent one. */
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

  /** Drops the lease of this user's connection; another user may have a connection with this id. */
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

/** Leases never hold credentials, not even sealed ones. */
function withoutCredentials(row: Connection | SealedConnection): Connection {
  if (!('sealedCredentials' in row)) return row
  const { sealedCredentials, ...connection } = row
  return connection
}

/** The subject of a read or a notification: a user's connection, or the user's choice for a provider. */
export interface Scope {
  readonly userId: string
  readonly id?: string
  readonly provider?: string
}

/** A read in flight. */
export interface LeaseRead<T> {
  readonly answer: Promise<T>
  readonly startedAt: Moment
}

/** Performs a read. `holds` returns true while its result may be leased: no change was reported since it began. */
export type ReadNow<T> = (startedAt: Moment, holds: () => boolean) => Promise<T>

interface Flight {
  readonly scope: Scope
  readonly key: string | null
  readonly startedAt: Moment
  answer: Promise<unknown>
}

/** The reads of connections in flight. Callers with the same scope share a read; a reported change retires it. */
export class LeaseReads {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #flights = new Set<Flight>()
  readonly #joinable = new Map<string, Flight>()

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock
    this.#leaseMs = leaseMs
  }

  /** Returns the read of this scope that began within the lease, or starts one. */
  join<T>(scope: Scope, read: ReadNow<T>): LeaseRead<T> {
    const key = JSON.stringify([scope.userId, scope.id ?? null, scope.provider ?? null])
    const flight = this.#joinable.get(key)
    const isRecent = flight !== undefined && flight.startedAt.ageMs(this.#clock) < this.#leaseMs
    return (isRecent ? flight : this.#begin(scope, key, read)) as LeaseRead<T>
  }

  /** Starts a read that other callers do not join. */
  alone<T>(scope: Scope, read: ReadNow<T>): Promise<T> {
    return this.#begin(scope, null, read).answer as Promise<T>
  }

  /** Retires the reads of a scope: callers no longer join them, and their results are not leased. */
  retire({ userId, id, provider }: Scope): void {
    for (const flight of this.#flights) {
      const { scope } = flight
      const isSame = scope.id === undefined ? scope.provider === provider : scope.id === id
      if (scope.userId === userId && isSame) this.#end(flight)
    }
  }

  retireAll(): void {
    this.#flights.clear()
    this.#joinable.clear()
  }

  #begin<T>(scope: Scope, key: string | null, read: ReadNow<T>): Flight {
    const startedAt = new Moment(this.#clock)
    const flight: Flight = { scope, key, startedAt, answer: Promise.resolve() }
    this.#flights.add(flight)
    if (key !== null) this.#joinable.set(key, flight)
    flight.answer = read(startedAt, () => this.#flights.has(flight)).finally(() => {
      this.#end(flight)
    })
    return flight
  }

  #end(flight: Flight): void {
    this.#flights.delete(flight)
    if (flight.key !== null && this.#joinable.get(flight.key) === flight) this.#joinable.delete(flight.key)
  }
}
