import type { PrismaTransaction } from './prisma-client.ts'

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
