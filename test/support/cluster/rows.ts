import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import pLimit from 'p-limit'
import pg from 'pg'
import type { Test } from 'tap'
import { Secret } from '../../../src/core/secret.ts'
import { createCredentialCipher } from '../../../src/crypto/credentials.ts'
import { createKeyRing, type KeyRingOptions } from '../../../src/crypto/key-ring.ts'
import { monotonicMs } from './clock.ts'
import type { ClusterCloud } from './cloud.ts'
import { ClusterHistory, type RowState } from './history.ts'
import { CLUSTER_PROVIDER } from './provider.ts'

type Statement = readonly [text: string, ...values: unknown[]]
export type InactiveStatus = 'DISABLED' | 'REQUIRES_REAUTH' | 'ERROR'

const INSERT = `INSERT INTO cloud_connections (id, user_id, provider, account_id, label, is_default, credentials)
  VALUES ($1, $2, $3, $4, $4, $5, $6)`

/**
 * The users' rows. They are changed directly in the database, as by an operator, and their history is recorded. Each
 * change resolves with the time just after its commit, by `monotonicMs`.
 */
export class ClusterRows {
  history = new ClusterHistory()
  /** The number of changes. */
  changes = 0
  /** The number of changes that were lost with a database. */
  lost = 0
  /**
   * Whether changes to an active row are those of a user who connects it again, which change `connected_at`. Otherwise
   * only its version changes, and a database that loses changes may use a version twice.
   */
  isReconnecting = false
  /** Runs one function at a time: one that chooses a change by the rows and makes it, or a failover. */
  readonly exclusively = pLimit(1)
  readonly #url: string
  #session: Promise<pg.Client> | undefined
  readonly #cloud: ClusterCloud
  readonly #cipher: ReturnType<typeof createCredentialCipher>

  /** Uses a session of its own, which ends at teardown. */
  constructor(t: Test, url: string, cloud: ClusterCloud, keys: KeyRingOptions) {
    this.#url = url
    this.#cloud = cloud
    this.#cipher = createCredentialCipher(createKeyRing(keys))
    t.teardown(async () => (await this.#session)?.end())
  }

  rowsOf(userId: string): readonly RowState[] {
    return this.history.rowsOf(userId)
  }

  /** Connects the user to an account of the cloud. Returns the ID. It becomes the default if there are others. */
  async add(userId: string, account: string): Promise<string> {
    const row: RowState = {
      id: randomUUID(),
      account,
      token: this.#cloud.issue(account),
      isActive: true,
      isDefault: this.rowsOf(userId).length > 0
    }
    const others = this.rowsOf(userId).map((other) => ({ ...other, isDefault: false }))
    const sealed = this.#seal(userId, row)
    await this.#commit(
      userId,
      [...others, row],
      [],
      [
        ['UPDATE cloud_connections SET is_default = false WHERE user_id = $1 AND is_default', userId],
        [INSERT, row.id, userId, CLUSTER_PROVIDER, account, row.isDefault, sealed]
      ]
    )
    return row.id
  }

  async remove(userId: string, id: string): Promise<number> {
    const rows = this.rowsOf(userId).filter((row) => row.id !== id)
    return await this.#commit(userId, rows, [id], [['DELETE FROM cloud_connections WHERE id = $1', id]])
  }

  async deactivate(userId: string, id: string, status: InactiveStatus = 'DISABLED'): Promise<number> {
    const rows = this.#withChange(userId, id, { isActive: false })
    const update = 'UPDATE cloud_connections SET status = $2::connection_status WHERE id = $1'
    return await this.#commit(userId, rows, [id], [[update, id, status]])
  }

  async activate(userId: string, id: string): Promise<number> {
    const rows = this.#withChange(userId, id, { isActive: true })
    const update = `UPDATE cloud_connections SET status = 'ACTIVE', connected_at = ${this.#connectedAt} WHERE id = $1`
    return await this.#commit(userId, rows, [id], [[update, id]])
  }

  /** Replaces the account of a row. */
  async replaceAccount(userId: string, id: string, account: string): Promise<number> {
    const rows = this.#withChange(userId, id, { account, token: this.#cloud.issue(account) })
    const sealed = this.#seal(
      userId,
      rows.find((row) => row.id === id)!
    )
    const update = `UPDATE cloud_connections SET account_id = $2, credentials = $3, connected_at = ${this.#connectedAt}
      WHERE id = $1`
    return await this.#commit(userId, rows, [id], [[update, id, account, sealed]])
  }

  async setDefault(userId: string, id: string): Promise<number> {
    const rows = this.rowsOf(userId).map((row) => ({ ...row, isDefault: row.id === id }))
    const update = 'UPDATE cloud_connections SET is_default = $2 WHERE id = $1'
    const others = rows.filter((row) => row.id !== id).map((row): Statement => [update, row.id, false])
    return await this.#commit(userId, rows, [], [...others, [update, id, true]])
  }

  /** Records a change that `commit` commits. */
  async record(
    userId: string,
    rows: readonly RowState[],
    changedIds: readonly string[],
    commit: () => Promise<unknown>
  ): Promise<number> {
    const sentAt = monotonicMs()
    await commit()
    const committedAt = monotonicMs()
    this.history.record(userId, { sentAt, committedAt, rows, changedIds })
    this.changes += 1
    return committedAt
  }

  /**
   * Replaces the database by one that lacks the changes since a time, by `monotonicMs`. The address of the first one
   * leads to it from then on.
   *
   * @throws Error if it has other rows
   */
  async replaceDatabase(since: number, replace: () => Promise<void>): Promise<void> {
    const sentAt = monotonicMs()
    await (await this.#session)?.end().catch(() => undefined)
    this.#session = undefined
    await replace()
    const rows = await this.#readAll()
    this.lost += this.history.revert(since, { sentAt, committedAt: monotonicMs() })
    const describe = (row: Omit<RowState, 'token'>) => [row.id, row.account, row.isActive, row.isDefault].join(' ')
    const expected = this.history.allRows().map(describe).sort()
    if (!isDeepStrictEqual(rows.map(describe).sort(), expected)) throw new Error('The database has other rows')
  }

  /** Deletes all rows and the history. */
  async clear(): Promise<void> {
    const sql = await this.#client()
    await sql.query('DELETE FROM cloud_connections')
    this.history = new ClusterHistory()
    this.changes = 0
    this.lost = 0
  }

  /** Terminates the sessions with this application name. Returns their number. */
  async terminate(applicationName: string): Promise<number> {
    const sql = await this.#client()
    const { rowCount } = await sql.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      [applicationName]
    )
    return rowCount ?? 0
  }

  /** Returns the number of sessions with these application names. */
  async sessions(applicationNames: readonly string[]): Promise<number> {
    const sql = await this.#client()
    const { rows } = await sql.query<{ sessions: number }>(
      'SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE application_name = ANY ($1)',
      [applicationNames]
    )
    return rows[0]?.sessions ?? 0
  }

  get #connectedAt(): string {
    return this.isReconnecting ? "clock_timestamp() AT TIME ZONE 'UTC'" : 'connected_at'
  }

  #withChange(userId: string, id: string, change: Partial<RowState>): RowState[] {
    return this.rowsOf(userId).map((row) => (row.id === id ? { ...row, ...change } : row))
  }

  #seal(userId: string, { id, token }: RowState): string {
    return this.#cipher.seal(new Secret({ token }), { userId, provider: CLUSTER_PROVIDER, id })
  }

  async #readAll(): Promise<Omit<RowState, 'token'>[]> {
    const sql = await this.#client()
    const { rows } = await sql.query<Omit<RowState, 'token'>>(
      `SELECT id, account_id AS account, status = 'ACTIVE' AS "isActive", is_default AS "isDefault"
      FROM cloud_connections`
    )
    return rows
  }

  /** Reconnects if the database was stopped meanwhile. */
  #client(): Promise<pg.Client> {
    if (this.#session !== undefined) return this.#session
    const session = this.#connect(() => {
      if (this.#session === session) this.#session = undefined
    })
    this.#session = session
    return session
  }

  async #connect(onEnd: () => void): Promise<pg.Client> {
    const client = new pg.Client(this.#url)
    client.on('error', () => undefined)
    client.once('end', onEnd)
    await client.connect()
    return client
  }

  async #commit(
    userId: string,
    rows: readonly RowState[],
    changedIds: readonly string[],
    statements: readonly Statement[]
  ): Promise<number> {
    const sql = await this.#client()
    await sql.query('BEGIN')
    for (const [text, ...values] of statements) await sql.query(text, values)
    return await this.record(userId, rows, changedIds, () => sql.query('COMMIT'))
  }
}
