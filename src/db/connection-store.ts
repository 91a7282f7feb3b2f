import type { Connection, SealedConnection } from '../core/connection.ts'
import type { ConnectionStore, NewConnection } from '../core/stores.ts'
import { type Clock, systemClock } from '../core/time.ts'
import { queryWithTimeout, assertSchema } from './errors.ts'
import {
  COLUMNS,
  type PrismaLike,
  type PrismaTransaction,
  SEALED_COLUMNS,
  type SealedRow,
  toSealed
} from './prisma-client.ts'
import { assertStorable, isStorable, limitLockWait, lockRefresh, lockUser, saveConnected } from './save-connected.ts'

export interface ConnectionStoreOptions {
  /** Timeout of a call in milliseconds, after which it fails with DATABASE_UNAVAILABLE. Default 5000. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

const OLDEST_FIRST = [{ createdAt: 'asc' as const }, { id: 'asc' as const }]

/**
 * Accesses the connections table through a Prisma client. A call that timed out may still take effect. It can be
 * repeated safely, since it finds the row that it was to write.
 */
export function createConnectionStore(prisma: PrismaLike, options: ConnectionStoreOptions = {}): ConnectionStore {
  const { timeoutMs = 5000, clock = systemClock } = options
  const runQuery = <T>(query: () => PromiseLike<T>) => queryWithTimeout(query, timeoutMs)
  const { reseal, requireReauth, recordVerification: noteCheck } = createConnectionUpdates(prisma)

  /** @param workTimeoutMs timeout of `work`, from when it has a database connection */
  function transact<T>(workTimeoutMs: number, work: (transaction: PrismaTransaction) => Promise<T>): Promise<T> {
    // A host's default may be stricter, and would show the transaction the data from before its lock.
    const settings = { maxWait: timeoutMs, timeout: workTimeoutMs, isolationLevel: 'ReadCommitted' } as const
    return queryWithTimeout(() => prisma.$transaction(work, settings), timeoutMs + workTimeoutMs)
  }

  return {
    async find(userId, id): Promise<Connection | null> {
      if (!isStorable(userId, id)) return null
      return runQuery(() => prisma.cloudConnection.findFirst({ where: { id, userId }, select: COLUMNS }))
    },

    async findSealed(userId, id): Promise<SealedConnection | null> {
      if (!isStorable(userId, id)) return null
      return runQuery(() => readSealed(prisma, userId, id))
    },

    async list(userId): Promise<Connection[]> {
      if (!isStorable(userId)) return []
      return runQuery(() =>
        prisma.cloudConnection.findMany({ where: { userId }, orderBy: OLDEST_FIRST, select: COLUMNS })
      )
    },

    async listSealed(userId, provider): Promise<SealedConnection[]> {
      if (!isStorable(userId, provider)) return []
      const where = { userId, provider }
      const rows = await runQuery(() =>
        prisma.cloudConnection.findMany({ where, orderBy: OLDEST_FIRST, select: SEALED_COLUMNS })
      )
      return rows.map(toSealed)
    },

    async saveConnected(connection: NewConnection, seal, maxPerUser): Promise<Connection> {
      assertStorable(connection)
      const saveOptions = { connection, seal, maxPerUser, now: clock.date(), timeoutMs }
      return transact(timeoutMs, (transaction) => saveConnected(transaction, saveOptions))
    },

    reseal: (connection, sealed) => runQuery(() => reseal(connection, sealed)),
    requireReauth: (connection) => runQuery(() => requireReauth(connection)),
    recordVerification: (connection, failure) => runQuery(() => noteCheck(connection, failure)),

    async withRefreshLock({ userId, id }, workTimeoutMs, work) {
      if (!isStorable(userId, id)) return work(null, { reseal: async () => false, requireReauth: async () => false })
      // The wait covers one other refresh and one database response. This call's own refresh and response follow.
      const waitMs = workTimeoutMs + timeoutMs
      return transact(waitMs + workTimeoutMs + timeoutMs, async (transaction) => {
        await limitLockWait(transaction, waitMs)
        await lockRefresh(transaction, id)
        const row = await readSealed(transaction, userId, id)
        return await work(row, createConnectionUpdates(transaction))
      })
    },

    async update(userId, id, { label, isDefault }): Promise<Connection | null> {
      if (!isStorable(userId, id)) return null
      return transact(timeoutMs, async (transaction) => {
        await limitLockWait(transaction, timeoutMs)
        await lockUser(transaction, userId)
        const row = await transaction.cloudConnection.findFirst({ where: { id, userId }, select: COLUMNS })
        if (row === null) return null
        if (isDefault === true) {
          const { provider } = row
          await transaction.cloudConnection.updateMany({
            where: { userId, provider, isDefault: true },
            data: { isDefault: false }
          })
        }
        const data = { ...(label !== undefined && { label }), ...(isDefault !== undefined && { isDefault }) }
        await transaction.cloudConnection.updateMany({ where: { id, userId }, data })
        return transaction.cloudConnection.findFirst({ where: { id, userId }, select: COLUMNS })
      })
    },

    async recordUse(userId, id, stepMs): Promise<void> {
      if (!isStorable(userId, id)) return
      // Only by the database's clock, since clocks of processes differ. Times are in UTC without a zone.
      await runQuery(
        () => prisma.$executeRaw`
          UPDATE cloud_connections SET last_used_at = now() AT TIME ZONE 'UTC'
          WHERE id = ${id} AND user_id = ${userId} AND
            (last_used_at IS NULL OR last_used_at < now() AT TIME ZONE 'UTC' - make_interval(secs => ${stepMs / 1000}::float8))`
      )
    },

    async remove(userId, id): Promise<SealedConnection | null> {
      if (!isStorable(userId, id)) return null
      const [removed] = await runQuery(() => deleteRows(prisma, userId, id))
      return removed ?? null
    },

    async removeAll(userId): Promise<SealedConnection[]> {
      if (!isStorable(userId)) return []
      return runQuery(() => deleteRows(prisma, userId, null))
    },

    assertReady: () => runQuery(() => assertSchema(prisma))
  }
}

async function readSealed(client: PrismaTransaction, userId: string, id: string): Promise<SealedConnection | null> {
  const row = await client.cloudConnection.findFirst({ where: { id, userId }, select: SEALED_COLUMNS })
  return row === null ? null : toSealed(row)
}

/** Deletes and returns the rows in one statement, so that no other change happens in between. */
async function deleteRows(prisma: PrismaLike, userId: string, id: string | null): Promise<SealedConnection[]> {
  const rows = (await prisma.$queryRaw`
    DELETE FROM cloud_connections WHERE user_id = ${userId} AND (${id}::text IS NULL OR id = ${id})
    RETURNING id, user_id AS "userId", provider, account_id AS "accountId", label, is_default AS "isDefault",
      status::text AS status, scopes, last_error_code AS "lastErrorCode", connected_at AS "connectedAt",
      created_at AS "createdAt", version, credentials_revision AS "credentialsRevision",
      credentials`) as SealedRow[]
  return rows.map(toSealed)
}

type ConnectionRevision = Parameters<ConnectionStore['requireReauth']>[0]

/** Compare-and-swap updates: each matches the row in the version that was read, and changes no other. */
export function createConnectionUpdates(
  client: Pick<PrismaTransaction, 'cloudConnection'>
): Pick<ConnectionStore, 'reseal' | 'requireReauth' | 'recordVerification'> {
  const table = client.cloudConnection
  return {
    async reseal({ userId, id, version, credentialsRevision, status }, credentials) {
      const { count } = await table.updateMany({
        where: { id, userId, version, credentialsRevision, status },
        data: { credentials }
      })
      return count > 0
    },

    async requireReauth({ userId, id, credentialsRevision }: ConnectionRevision) {
      if (!isStorable(userId, id)) return false
      const { count } = await table.updateMany({
        where: { id, userId, credentialsRevision, status: { in: ['ACTIVE', 'ERROR'] } },
        data: { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' }
      })
      return count > 0
    },

    async recordVerification({ userId, id, version, status, lastErrorCode }, failure): Promise<Connection | null> {
      if (status !== 'ACTIVE' && status !== 'ERROR') return null
      const isRepeated = failure !== null && lastErrorCode !== null
      const next = failure === null ? 'ACTIVE' : isRepeated ? 'ERROR' : status
      if (next !== status || failure !== lastErrorCode) {
        const { count } = await table.updateMany({
          where: { id, userId, version, status },
          data: { status: next, lastErrorCode: failure }
        })
        if (count === 0) return null
      }
      const updated = await table.findFirst({ where: { id, userId }, select: COLUMNS })
      return updated?.status === next ? updated : null
    }
  }
}
