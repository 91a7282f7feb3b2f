import { LRUCache } from 'lru-cache'
import {
  chooseConnection,
  type Connection,
  type ConnectionNotification,
  type ConnectionSelector,
  failureDetailsOf,
  requireActive,
  requireFound,
  type SealedConnection,
  withoutCredentials
} from '../core/connection.ts'
import type { ChangeLog, ConnectionChange, ConnectionStore } from '../core/stores.ts'
import type { ChangePollOutcome } from '../core/telemetry.ts'
import { type Clock, Moment } from '../core/time.ts'
import { StorageError } from '../errors.ts'
import type { LeaseVerifier } from '../layers/lease.ts'
import { InstanceLease, MAX_READ_MS } from './instance-lease.ts'
import { type Reader, SharedReads } from './shared-reads.ts'

export interface LeaseOptions {
  readonly connections: Pick<ConnectionStore, 'find' | 'findSealed' | 'listSealed'>
  readonly changeLog: ChangeLog
  /** Duration of the lease in milliseconds. 0: every request reads its connection. */
  readonly leaseMs: number
  readonly clock: Clock
  /** Maximal number of users with leased connections. Default 20,000. */
  readonly maxUsers?: number
  readonly onPolled?: (outcome: ChangePollOutcome) => void
  readonly onPruneFailed?: (error: unknown) => void
}

const MAX_USERS = 20_000
/** A slow read has often waited for a new database connection, which the next read finds open. */
const MAX_ATTEMPTS = 2

/** What this process has leased for one user. Any change of the user's connections drops it as a whole. */
export class UserLease {
  /** By id. Fields that change without a new version, such as the label, may be out of date. */
  readonly connections = new Map<string, Connection>()
  /** The id of the default connection of each provider. */
  readonly defaults = new Map<string, string>()
  isDropped = false
}

/**
 * The connections that this process has read and leased. Only ACTIVE ones are leased: users are about to fix the
 * others, perhaps through another process. They are valid while the lease of the process is held and no change has
 * named their user. Callers check them again before they respond. Notifications only shorten the time until a change
 * takes effect.
 */
export class Leases {
  readonly #options: LeaseOptions
  /** `null`: nothing is leased. */
  readonly #lease: InstanceLease | null
  readonly #users: LRUCache<string, UserLease>
  readonly #reads: SharedReads

  constructor(options: LeaseOptions) {
    const { maxUsers = MAX_USERS, leaseMs, clock } = options
    this.#options = options
    this.#users = new LRUCache({
      max: maxUsers,
      dispose: (user) => {
        user.isDropped = true
      }
    })
    this.#reads = new SharedReads(clock)
    const onChanges = (changes: readonly ConnectionChange[] | null): void => {
      if (changes === null) this.dropAll()
      else for (const { userId } of changes) this.drop(userId)
    }
    this.#lease = leaseMs === 0 ? null : new InstanceLease({ ...options, onChanges })
  }

  /** Returns what is leased of a user at `now`. The same object is returned until a change drops it. */
  leasedUser(userId: string, now: Moment): UserLease | undefined {
    return this.#lease?.use(now) === true ? this.#users.get(userId) : undefined
  }

  /** Returns the leased connection that a request names, or the default one; `undefined` if it must be read. */
  findLeased({ userId, provider, connectionId }: ConnectionSelector, now = this.#now()): Connection | undefined {
    const user = this.leasedUser(userId, now)
    const id = connectionId ?? user?.defaults.get(provider)
    const connection = id === undefined ? undefined : user?.connections.get(id)
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
    const { userId, provider, connectionId } = selector
    if (connectionId === undefined) return requireActive(await this.#choose(userId, provider))
    return requireActive(requireFound(await this.find(userId, connectionId), provider))
  }

  /**
   * Selects a connection as {@link select}, by a row that is read now: a change must not go to the connection that was
   * the default a moment ago.
   *
   * @throws StorageError as {@link select}
   */
  async selectSealed({ userId, provider, connectionId }: ConnectionSelector): Promise<SealedConnection> {
    if (connectionId !== undefined) {
      return requireActive(requireFound(await this.findSealed(userId, connectionId), provider))
    }
    return requireActive(chooseConnection(await this.#options.connections.listSealed(userId, provider)))
  }

  /** Returns the leased connection, or reads it: one read serves all concurrent callers. */
  async find(userId: string, id: string): Promise<Connection | SealedConnection | null> {
    const user = this.#users.get(userId)
    const connection = user?.connections.get(id)
    if (connection !== undefined && (await this.#isHeld(user))) return connection
    await this.#prepareLease()
    return await this.#readOne('findSealed', userId, id)
  }

  /** Reads the row with its credentials now, and leases it. */
  async findSealed(userId: string, id: string): Promise<SealedConnection | null> {
    return await this.#reads.begin(userId, `id:${id}`, async (isCurrent) => {
      const row = await this.#options.connections.findSealed(userId, id)
      if (isCurrent()) this.#leaseRow(userId, id, row)
      return row
    }).result
  }

  /**
   * Resolves if a connection is still ACTIVE and belongs to the same account, according to information that is at most
   * `maxAgeMs` old. A connection that was renewed meanwhile is accepted.
   *
   * @throws StorageError `CONNECTION_INACTIVE` otherwise; `DATABASE_UNAVAILABLE`
   */
  async confirm(connection: Pick<Connection, 'userId' | 'id' | 'accountId'>, maxAgeMs: number): Promise<void> {
    const { userId, id, accountId } = connection
    const user = this.#users.get(userId)
    let current: Connection | null | undefined = user?.connections.get(id)
    if (current !== undefined && !(await this.#isHeld(user, maxAgeMs))) current = undefined
    current ??= await this.#readOne('find', userId, id, maxAgeMs)
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

  /** Drops what is leased of a user. The results of the user's reads in flight are not leased either. */
  drop(userId: string): void {
    this.#reads.retire(userId)
    this.#users.delete(userId)
  }

  /** Drops what is leased of all users. */
  dropAll(): void {
    this.#reads.retireAll()
    this.#users.clear()
  }

  /**
   * Processes a change notification. `null`: notifications may have been missed. Returns true if what is cached for the
   * named connection is outdated, or may be.
   */
  onNotification(notification: ConnectionNotification | null): boolean {
    if (notification === null) {
      this.#lease?.expectChanges()
      return false
    }
    const { userId, id, version, isRemoved } = notification
    const leased = this.#users.peek(userId)?.connections.get(id)
    this.drop(userId)
    return isRemoved || leased === undefined || leased.version < version
  }

  /**
   * Returns the leased default connection, or reads it.
   *
   * @throws StorageError `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`
   */
  async #choose(userId: string, provider: string): Promise<Connection | SealedConnection> {
    const user = this.#users.get(userId)
    const connection = user?.connections.get(user.defaults.get(provider) ?? '')
    if (connection?.provider === provider && (await this.#isHeld(user))) return connection
    await this.#prepareLease()
    return await this.#readShared(userId, `default:${provider}`, async (isCurrent) => {
      const chosen = chooseConnection(await this.#options.connections.listSealed(userId, provider))
      if (isCurrent()) this.#leaseRow(userId, chosen.id, chosen)?.defaults.set(provider, chosen.id)
      return chosen
    })
  }

  /** Renews the lease if it has ended. Returns false if `user` was dropped meanwhile. */
  async #isHeld(user: UserLease | undefined, maxAgeMs?: number): Promise<boolean> {
    if (this.#lease === null || user === undefined) return false
    if (maxAgeMs !== undefined || !this.#lease.use(this.#now())) await this.#lease.renew(maxAgeMs)
    return !user.isDropped
  }

  /** Before a row is read: lets a poll begin with it. Before the first poll, what is read could not be leased. */
  async #prepareLease(): Promise<void> {
    if (this.#lease === null || this.#lease.use(this.#now())) return
    if (this.#lease.hasPosition) this.#lease.renewAhead()
    else await this.#lease.renew()
  }

  /** Reads a row, with its sealed credentials if the caller may need them for a load. */
  #readOne(
    method: 'find' | 'findSealed',
    userId: string,
    id: string,
    maxAgeMs?: number
  ): Promise<Connection | SealedConnection | null> {
    const read: Reader<Connection | SealedConnection | null> = async (isCurrent) => {
      const row = await this.#options.connections[method](userId, id)
      if (isCurrent()) this.#leaseRow(userId, id, row)
      return row
    }
    return this.#readShared(userId, `id:${id}`, read, maxAgeMs)
  }

  async #readShared<T>(userId: string, subject: string, read: Reader<T>, maxAgeMs = this.#options.leaseMs): Promise<T> {
    const { leaseMs, clock } = this.#options
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      // Without a lease each caller has a read of its own, which the store's timeout limits.
      const { result, startedAt } = this.#reads.join(userId, subject, read, leaseMs === 0 ? 0 : maxAgeMs)
      const value = await result
      if (leaseMs === 0 || startedAt.ageMs(clock) <= Math.max(maxAgeMs, MAX_READ_MS)) return value
    }
    throw new StorageError('DATABASE_UNAVAILABLE', 'The database responded too slowly.')
  }

  /** Leases a row that was read. Returns what is leased of the user if the connection is. */
  #leaseRow(userId: string, id: string, row: Connection | SealedConnection | null): UserLease | undefined {
    if (this.#lease === null) return undefined
    let user = this.#users.get(userId)
    const leased = user?.connections.get(id)
    if (leased !== undefined && leased.version !== row?.version) {
      // Reads may end in another order than they began, and with this connection the default may have changed.
      this.drop(userId)
      return undefined
    }
    if (row?.status !== 'ACTIVE') return undefined
    if (user === undefined) {
      user = new UserLease()
      this.#users.set(userId, user)
    }
    // Leases never hold credentials, not even sealed ones.
    user.connections.set(id, withoutCredentials(row))
    return user
  }

  #now(): Moment {
    return new Moment(this.#options.clock)
  }
}
