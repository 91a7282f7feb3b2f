import { LRUCache } from 'lru-cache'
import {
  chooseConnection,
  type Connection,
  type ConnectionNotification,
  type ConnectionSelector,
  failureDetailsOf,
  requireActive,
  requireFound,
  type SealedConnection
} from '../core/connection.ts'
import type { ConnectionStore } from '../core/stores.ts'
import type { LeaseRenewal } from '../core/telemetry.ts'
import { type Clock, Moment } from '../core/time.ts'
import { StorageError } from '../errors.ts'
import type { LeaseVerifier } from '../layers/lease.ts'

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

interface Lease {
  readonly connection: Connection
  readonly readAt: Moment
  /** The duration of this lease: `leaseMs`, randomly shortened. */
  readonly durationMs: number
}

interface DefaultLease {
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
const JITTER = 0.5
/** A slow read has often waited for a new database connection, which the next read finds open. */
const MAX_ATTEMPTS = 2

/**
 * The leases of this process. A lease holds an ACTIVE connection and runs from the start of the read; users are about
 * to fix other connections, perhaps through another process. Callers check the lease again before they respond. Change
 * notifications only shorten the time until a change takes effect.
 */
export class Leases {
  readonly #options: LeaseOptions
  readonly #leases: LRUCache<string, Lease>
  /** By user, then by provider. */
  readonly #defaultLeases: LRUCache<string, Map<string, DefaultLease>>
  readonly #reads: LeaseReads

  constructor(options: LeaseOptions) {
    const { max = MAX_LEASES, leaseMs, clock } = options
    this.#options = options
    this.#leases = new LRUCache({ max })
    this.#defaultLeases = new LRUCache({ max })
    this.#reads = new LeaseReads(clock, leaseMs)
  }

  /**
   * Returns the leased connection that a request names, or the default one; `undefined` if it must be read.
   *
   * @param now the current time
   */
  findLeased({ userId, provider, connectionId }: ConnectionSelector, now = this.#now()): Connection | undefined {
    if (connectionId === undefined) return this.leasedDefault(userId, provider, now)
    const connection = this.leased(userId, connectionId, now)
    return connection?.provider === provider ? connection : undefined
  }

  /**
   * Returns the connection that a request names, or the user's choice. A leased one is not read. A row that was read
   * includes the sealed credentials, so that callers which then load a page need not read it again.
   *
   * @throws StorageError `CONNECTION_NOT_FOUND`, `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`, `CONNECTION_INACTIVE`,
   * `DATABASE_UNAVAILABLE`
   */
  async select(selector: ConnectionSelector): Promise<Connection | SealedConnection> {
    return await select<Connection | SealedConnection>(
      selector,
      (userId, id) => this.find(userId, id),
      (userId, provider) => this.choose(userId, provider)
    )
  }

  /**
   * Does the same with a row that is read now: a change must not go to the connection that was the default a moment
   * ago.
   *
   * @throws StorageError as {@link select}
   */
  async selectSealed(selector: ConnectionSelector): Promise<SealedConnection> {
    const { connections } = this.#options
    return await select(
      selector,
      (userId, id) => this.findSealed(userId, id),
      async (userId, provider) => chooseConnection(await connections.listSealed(userId, provider))
    )
  }

  /** Returns the leased connection at `now`; `undefined` if it must be read. */
  leased(userId: string, id: string, now = this.#now()): Connection | undefined {
    const row = this.#leases.get(id)
    return row?.connection.userId === userId && row.readAt.ageAt(now) < row.durationMs ? row.connection : undefined
  }

  /** Returns the leased connection of requests that name none; `undefined` if it must be read. */
  leasedDefault(userId: string, provider: string, now = this.#now()): Connection | undefined {
    const defaultLease = this.#defaultLeases.get(userId)?.get(provider)
    if (defaultLease === undefined || defaultLease.readAt.ageAt(now) >= this.#options.leaseMs) return undefined
    const connection = this.leased(userId, defaultLease.id, now)
    return connection?.provider === provider ? connection : undefined
  }

  /** Returns the leased connection, or reads it: one read serves all concurrent callers. */
  async find(userId: string, id: string): Promise<Connection | SealedConnection | null> {
    return this.leased(userId, id) ?? (await this.#read('findSealed', userId, id))
  }

  /** Does the same for requests that name none. @throws StorageError `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS` */
  async choose(userId: string, provider: string): Promise<Connection | SealedConnection> {
    return (
      this.leasedDefault(userId, provider) ??
      (await this.#readShared({ userId, provider }, async (readAt, isCurrent) => {
        const chosen = chooseConnection(await this.#options.connections.listSealed(userId, provider))
        if (isCurrent() && this.#lease(chosen, readAt)) this.#leaseDefault(userId, provider, { id: chosen.id, readAt })
        return chosen
      }))
    )
  }

  /** Reads the row with its credentials now, and leases it. */
  async findSealed(userId: string, id: string): Promise<SealedConnection | null> {
    return await this.#reads.startUnshared({ userId, id }, async (readAt, isCurrent) => {
      const row = await this.#countRenewal(this.#options.connections.findSealed(userId, id))
      if (!isCurrent()) return row
      if (row === null) this.#dropLease(userId, id)
      else this.#lease(row, readAt)
      return row
    })
  }

  /**
   * Resolves if a connection is still ACTIVE and belongs to the same account, according to a read within the last
   * `maxAgeMs`. A connection that was renewed meanwhile is accepted.
   *
   * @throws StorageError `CONNECTION_INACTIVE` otherwise; `DATABASE_UNAVAILABLE`
   */
  async confirm(connection: Pick<Connection, 'userId' | 'id' | 'accountId'>, maxAgeMs: number): Promise<void> {
    const { userId, id, accountId } = connection
    const lease = this.#leases.get(id)
    const isFresh = lease?.connection.userId === userId && this.#age(lease) < maxAgeMs
    const current = isFresh ? lease.connection : await this.#read('find', userId, id)
    if (current?.accountId === accountId && current.status === 'ACTIVE') return
    throw new StorageError('CONNECTION_INACTIVE', 'This connection was changed or removed during the request.').about({
      connectionId: id,
      ...(current !== null && failureDetailsOf(current))
    })
  }

  /** Returns the verifier of an opened connection. */
  verifierOf(connection: Pick<Connection, 'userId' | 'id' | 'accountId'>): LeaseVerifier {
    const { leaseMs } = this.#options
    return { leaseMs, confirm: (maxAgeMs) => this.confirm(connection, maxAgeMs) }
  }

  /** Drops the leases of a scope. The results of its reads in flight are not leased either. */
  drop(scope: Scope): void {
    this.#reads.retire(scope)
    const { userId, provider, id } = scope
    if (id !== undefined) this.#leases.delete(id)
    if (provider !== undefined) this.#defaultLeases.peek(userId)?.delete(provider)
  }

  /** Does the same for all scopes. */
  dropAll(): void {
    this.#reads.retireAll()
    this.#leases.clear()
    this.#defaultLeases.clear()
  }

  /** Processes a change notification. Returns true unless a lease already has that version. */
  onNotification(notification: ConnectionNotification): boolean {
    const leased = this.#leases.peek(notification.id)?.connection
    if (!notification.isRemoved && leased !== undefined && leased.version >= notification.version) return false
    this.drop(notification)
    return true
  }

  /** Reads a row, with its sealed credentials if the caller may need them for a load. */
  #read(method: 'find' | 'findSealed', userId: string, id: string): Promise<Connection | SealedConnection | null> {
    return this.#readShared({ userId, id }, async (readAt, isCurrent) => {
      const connection = await this.#options.connections[method](userId, id)
      if (!isCurrent()) return connection
      if (connection === null) this.#dropLease(userId, id)
      else this.#lease(connection, readAt)
      return connection
    })
  }

  async #readShared<T>(scope: Scope, read: (readAt: Moment, isCurrent: () => boolean) => Promise<T>): Promise<T> {
    const { leaseMs } = this.#options
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const { result, startedAt } = this.#reads.join(scope, (readAt, isCurrent) =>
        this.#countRenewal(read(readAt, isCurrent))
      )
      const value = await result
      // Without leases each caller has a read of its own, which the store's timeout limits.
      if (leaseMs === 0 || startedAt.ageMs(this.#options.clock) <= Math.max(leaseMs, MAX_READ_MS)) return value
    }
    throw new StorageError('DATABASE_UNAVAILABLE', 'The database responded too slowly.')
  }

  async #countRenewal<T>(read: Promise<T>): Promise<T> {
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
  #lease(row: Connection | SealedConnection, readAt: Moment): boolean {
    const { clock, leaseMs, random = Math.random } = this.#options
    if (leaseMs === 0) return false
    const connection = withoutCredentials(row)
    if (connection.status !== 'ACTIVE') {
      this.#leases.delete(connection.id)
      return false
    }
    const existing = this.#leases.peek(connection.id)
    if (existing === undefined || this.#age(existing) >= readAt.ageMs(clock)) {
      this.#leases.set(connection.id, { connection, readAt, durationMs: leaseMs * (1 - JITTER * random()) })
    }
    return true
  }

  /** Drops the lease of this user's connection; another user may have a connection with this id. */
  #dropLease(userId: string, id: string): void {
    if (this.#leases.peek(id)?.connection.userId === userId) this.#leases.delete(id)
  }

  #leaseDefault(userId: string, provider: string, defaultLease: DefaultLease): void {
    const defaultLeases = this.#defaultLeases.get(userId)
    if (defaultLeases === undefined) this.#defaultLeases.set(userId, new Map([[provider, defaultLease]]))
    else defaultLeases.set(provider, defaultLease)
  }

  #now(): Moment {
    return new Moment(this.#options.clock)
  }

  #age({ readAt }: Lease): number {
    return readAt.ageMs(this.#options.clock)
  }
}

async function select<T extends Connection>(
  { userId, provider, connectionId }: ConnectionSelector,
  find: (userId: string, id: string) => Promise<T | null>,
  choose: (userId: string, provider: string) => Promise<T>
): Promise<T> {
  if (connectionId === undefined) return requireActive(await choose(userId, provider))
  return requireActive(requireFound(await find(userId, connectionId), provider))
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
  readonly result: Promise<T>
  readonly startedAt: Moment
}

/** Performs a read. `holds` returns true while its result may be leased: no change was reported since it began. */
export type LeaseReader<T> = (startedAt: Moment, isCurrent: () => boolean) => Promise<T>

interface PendingRead {
  readonly scope: Scope
  readonly key: string | null
  readonly startedAt: Moment
  result: Promise<unknown>
}

/** The reads of connections in flight. Callers with the same scope share a read; a reported change retires it. */
export class LeaseReads {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #pending = new Set<PendingRead>()
  readonly #joinable = new Map<string, PendingRead>()

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock
    this.#leaseMs = leaseMs
  }

  /** Returns the read of this scope that began within the lease, or starts one. */
  join<T>(scope: Scope, read: LeaseReader<T>): LeaseRead<T> {
    const key = JSON.stringify([scope.userId, scope.id ?? null, scope.provider ?? null])
    const pending = this.#joinable.get(key)
    const isRecent = pending !== undefined && pending.startedAt.ageMs(this.#clock) < this.#leaseMs
    return (isRecent ? pending : this.#begin(scope, key, read)) as LeaseRead<T>
  }

  /** Starts a read that other callers do not join. */
  startUnshared<T>(scope: Scope, read: LeaseReader<T>): Promise<T> {
    return this.#begin(scope, null, read).result as Promise<T>
  }

  /** Retires the reads of a scope: callers no longer join them, and their results are not leased. */
  retire({ userId, id, provider }: Scope): void {
    for (const pending of this.#pending) {
      const { scope } = pending
      const isSame = scope.id === undefined ? scope.provider === provider : scope.id === id
      if (scope.userId === userId && isSame) this.#end(pending)
    }
  }

  retireAll(): void {
    this.#pending.clear()
    this.#joinable.clear()
  }

  #begin<T>(scope: Scope, key: string | null, read: LeaseReader<T>): PendingRead {
    const startedAt = new Moment(this.#clock)
    const pending: PendingRead = { scope, key, startedAt, result: Promise.resolve() }
    this.#pending.add(pending)
    if (key !== null) this.#joinable.set(key, pending)
    pending.result = read(startedAt, () => this.#pending.has(pending)).finally(() => {
      this.#end(pending)
    })
    return pending
  }

  #end(pending: PendingRead): void {
    this.#pending.delete(pending)
    if (pending.key !== null && this.#joinable.get(pending.key) === pending) this.#joinable.delete(pending.key)
  }
}
