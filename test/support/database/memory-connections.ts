import { randomUUID } from 'node:crypto'
import type { Connection, SealedConnection } from '../../../src/core/connection.ts'
import type { StorageErrorCode } from '../../../src/errors.ts'
import type {
  ChangeLog,
  ChangePoll,
  ConnectionChange,
  ConnectionChanges,
  ConnectionStore,
  NewConnection
} from '../../../src/core/stores.ts'

export function connectionRow(overrides: Partial<SealedConnection> = {}): SealedConnection {
  return {
    id: randomUUID(),
    userId: 'ann',
    provider: 'scripted',
    accountId: 'account',
    label: 'Label',
    isDefault: false,
    status: 'ACTIVE',
    scopes: [],
    lastErrorCode: null,
    connectedAt: new Date(0),
    createdAt: new Date(0),
    version: 1,
    credentialsRevision: 1,
    sealedCredentials: 'sealed',
    ...overrides
  }
}

/** Logs changes as the triggers of the database do, including changes that a test makes to the map itself. */
class LoggedRows extends Map<string, SealedConnection> {
  readonly changes: ConnectionChange[] = []

  override set(id: string, row: SealedConnection): this {
    const before = this.get(id)
    const isMoved = before !== undefined && (before.userId !== row.userId || before.provider !== row.provider)
    if (isMoved) this.#log(before)
    if (isMoved || before?.version !== row.version || before.isDefault !== row.isDefault) this.#log(row)
    return super.set(id, row)
  }

  override delete(id: string): boolean {
    const before = this.get(id)
    if (before !== undefined) this.#log(before)
    return super.delete(id)
  }

  #log({ id, userId, provider }: SealedConnection): void {
    this.changes.push({ id, userId, provider })
  }
}

const MAX_CHANGES = 1000

/** The connections table and its log in memory, for tests in which the database is irrelevant. Counts its reads. */
export class MemoryConnections implements ConnectionStore, ChangeLog {
  readonly rows = new LoggedRows()
  reads: ('find' | 'findSealed' | 'list' | 'listSealed')[] = []
  polls = 0
  readonly #locks = new Map<string, Promise<unknown>>()

  add(overrides: Partial<SealedConnection> = {}): SealedConnection {
    const row = connectionRow(overrides)
    this.rows.set(row.id, row)
    return row
  }

  /** Changes a row like the database: the version is incremented. */
  change(id: string, overrides: Partial<SealedConnection>): void {
    const row = this.rows.get(id)
    if (row === undefined) throw new Error('no such row')
    this.rows.set(id, { ...row, version: row.version + 1, ...overrides })
  }

  async find(userId: string, id: string): Promise<Connection | null> {
    this.reads.push('find')
    return this.#ownRow(userId, id)
  }

  async findSealed(userId: string, id: string): Promise<SealedConnection | null> {
    this.reads.push('findSealed')
    return this.#ownRow(userId, id)
  }

  async list(userId: string): Promise<Connection[]> {
    this.reads.push('list')
    return [...this.rows.values()].filter((row) => row.userId === userId)
  }

  async listSealed(userId: string, provider: string): Promise<SealedConnection[]> {
    this.reads.push('listSealed')
    return [...this.rows.values()].filter((row) => row.userId === userId && row.provider === provider)
  }

  async requireReauth({ id, userId, credentialsRevision }: SealedConnection): Promise<boolean> {
    const row = this.#ownRow(userId, id)
    if (row?.credentialsRevision !== credentialsRevision || !['ACTIVE', 'ERROR'].includes(row.status)) return false
    this.change(id, { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' })
    return true
  }

  async saveConnected(connection: NewConnection, seal: (id: string) => string): Promise<Connection> {
    const id = randomUUID()
    return this.add({ ...connection, id, sealedCredentials: seal(id) })
  }

  async reseal(read: Connection, sealedCredentials: string): Promise<boolean> {
    const row = this.#ownRow(read.userId, read.id)
    const isUnchanged =
      row?.version === read.version &&
      row.credentialsRevision === read.credentialsRevision &&
      row.status === read.status
    if (!isUnchanged) return false
    const { version, credentialsRevision } = row
    this.change(row.id, { sealedCredentials, version, credentialsRevision: credentialsRevision + 1 })
    return true
  }

  async withRefreshLock<T>(
    { userId, id }: Pick<Connection, 'userId' | 'id'>,
    _withinMs: number,
    work: (row: SealedConnection | null, store: Pick<ConnectionStore, 'reseal' | 'requireReauth'>) => Promise<T>
  ): Promise<T> {
    const before = this.#locks.get(id)
    const run = (async () => {
      await before
      return await work(this.#ownRow(userId, id), this)
    })()
    this.#locks.set(
      id,
      run.then(
        () => undefined,
        () => undefined
      )
    )
    return run
  }

  async update(userId: string, id: string, changes: ConnectionChanges): Promise<Connection | null> {
    const row = this.#ownRow(userId, id)
    if (row === null) return null
    if (changes.isDefault === true) {
      for (const other of this.rows.values()) {
        if (other.userId === userId && other.provider === row.provider) {
          this.rows.set(other.id, { ...other, isDefault: false })
        }
      }
    }
    this.rows.set(id, { ...row, ...changes })
    return this.#ownRow(userId, id)
  }

  async recordVerification({ userId, id }: Connection, failure: StorageErrorCode | null): Promise<Connection | null> {
    const row = this.#ownRow(userId, id)
    if (row === null) return null
    const isRepeated = failure !== null && row.lastErrorCode !== null
    this.change(id, {
      status: failure === null ? 'ACTIVE' : isRepeated ? 'ERROR' : row.status,
      lastErrorCode: failure
    })
    return this.#ownRow(userId, id)
  }

  async recordUse(): Promise<void> {
    // No test needs it.
  }

  async remove(userId: string, id: string): Promise<SealedConnection | null> {
    const row = this.#ownRow(userId, id)
    if (row !== null) this.rows.delete(id)
    return row
  }

  async removeAll(userId: string): Promise<SealedConnection[]> {
    const own = [...this.rows.values()].filter((row) => row.userId === userId)
    for (const { id } of own) this.rows.delete(id)
    return own
  }

  /** A position is the number of changes so far. */
  async poll(since: string | null): Promise<ChangePoll> {
    this.polls += 1
    const { changes } = this.rows
    const position = String(changes.length)
    const isKnown = since !== null && /^\d+$/.test(since) && Number(since) <= changes.length
    const newer = isKnown ? changes.slice(Number(since)) : null
    return { position, changes: newer !== null && newer.length <= MAX_CHANGES ? newer : null }
  }

  async prune(): Promise<void> {
    // Nothing is ever deleted.
  }

  async assertReady(): Promise<void> {
    // There is no schema that could be outdated.
  }

  #ownRow(userId: string, id: string): SealedConnection | null {
    const row = this.rows.get(id)
    return row?.userId === userId ? row : null
  }
}
