import { randomUUID } from 'node:crypto'
import { failureDetailsOf, type Connection, type ConnectionStatus } from '../core/connection.ts'
import type { NewConnection } from '../core/stores.ts'
import { StorageError } from '../errors.ts'
import { COLUMNS, type PrismaTransaction } from './prisma-client.ts'

export interface SaveConnectedOptions {
  readonly connection: NewConnection
  readonly seal: (connectionId: string) => string
  readonly maxPerUser: number
  readonly now: number
  readonly timeoutMs: number
}

/** The columns of the existing row that a renewal needs. */
interface ExistingRow {
  readonly id: string
  readonly status: ConnectionStatus
  readonly connectedAt: Date
}

/** Inserts or renews a connection, in the caller's transaction. */
export async function saveConnected(
  transaction: PrismaTransaction,
  options: SaveConnectedOptions
): Promise<Connection> {
  await limitLockWait(transaction, options.timeoutMs)
  await lockUser(transaction, options.connection.userId)
  const existing = await lockExisting(transaction, options.connection)
  return existing === undefined ? insert(transaction, options) : renew(transaction, existing, options)
}

/** @throws StorageError `INVALID_REQUEST` for values that a row cannot store */
export function assertStorable({ userId, provider, accountId, label, scopes }: NewConnection): void {
  if (!isStorable(userId, provider, accountId, label, ...scopes)) {
    throw new StorageError('INVALID_REQUEST', 'The connection contains characters that cannot be stored.')
  }
  if (Buffer.byteLength(userId + provider + accountId) > MAX_KEY_BYTES) {
    throw new StorageError('INVALID_REQUEST', 'The id of this account is too long.')
  }
}

/** Locks the row as well: removals and operators do not take the user's lock. */
async function lockExisting(
  transaction: PrismaTransaction,
  connection: NewConnection
): Promise<ExistingRow | undefined> {
  const { userId, provider, accountId } = connection
  const rows = (await transaction.$queryRaw`
    SELECT id, status::text AS status, connected_at AS "connectedAt" FROM cloud_connections
    WHERE user_id = ${userId} AND provider = ${provider} AND account_id = ${accountId} FOR UPDATE`) as ExistingRow[]
  return rows[0]
}

async function insert(
  transaction: PrismaTransaction,
  { connection: { userId, provider, accountId, label, scopes }, seal, maxPerUser, now }: SaveConnectedOptions
): Promise<Connection> {
  const count = await transaction.cloudConnection.count({ where: { userId } })
  if (count >= maxPerUser) {
    throw new StorageError('INVALID_REQUEST', `There are already ${String(count)} connections. Remove one first.`)
  }
  const id = randomUUID()
  const identity = { id, userId, provider, accountId, label }
  return transaction.cloudConnection.create({
    data: { ...identity, ...renewalData(scopes, seal(id), now) },
    select: COLUMNS
  })
}

async function renew(
  transaction: PrismaTransaction,
  { id, status, connectedAt }: ExistingRow,
  { connection: { provider, scopes }, seal, now }: SaveConnectedOptions
): Promise<Connection> {
  if (status === 'DISABLED') {
    throw new StorageError('CONNECTION_INACTIVE', 'This connection was disabled.').about(
      failureDetailsOf({ provider, id, status })
    )
  }
  // Always a later time: a second renewal in the same millisecond would be no change for the version's trigger.
  const renewedAt = Math.max(now, connectedAt.getTime() + 1)
  const data = renewalData(scopes, seal(id), renewedAt)
  return transaction.cloudConnection.update({ where: { id }, data, select: COLUMNS })
}

function renewalData(scopes: readonly string[], credentials: string, connectedAt: number) {
  return {
    status: 'ACTIVE' as const,
    scopes: [...scopes],
    credentials,
    connectedAt: new Date(connectedAt),
    lastErrorCode: null
  }
}

/** Limits all lock waits of a transaction. Otherwise a wait would outlive its caller, with a connection of the pool. */
export async function limitLockWait(transaction: PrismaTransaction, waitMs: number): Promise<void> {
  await transaction.$executeRaw`SELECT set_config('lock_timeout', ${`${String(waitMs)}ms`}, true)`
}

/**
 * Serialises the writes of one user across processes. Without the lock two writers could both find that the limit of
 * connections is not reached, that the account has no row, or that there is no default. The lock ends with the
 * transaction. A collision of hashes only costs a wait.
 */
export async function lockUser(transaction: PrismaTransaction, userId: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`cloud_connections ${userId}`}, 0))`
}

/**
 * Serialises the refreshes of one connection. The row itself is not locked: a provider that does not respond would
 * block removing or disabling the connection.
 */
export async function lockRefresh(transaction: PrismaTransaction, connectionId: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`token_refresh ${connectionId}`}, 0))`
}

/** Limit of the unique index on user, provider and account: 2704 bytes, less its overhead. */
export const MAX_KEY_BYTES = 2600

/**
 * Returns true if PostgreSQL can store these texts unchanged. It rejects NUL, and a lone surrogate would be written
 * as U+FFFD, so that the ids of two users could become equal.
 */
export function isStorable(...texts: string[]): boolean {
  return texts.every((text) => text.isWellFormed() && !text.includes('\0'))
}
