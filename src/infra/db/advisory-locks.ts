import type { PrismaTransaction } from './prisma-client.ts'

/** Else a wait would outlive its caller, and hold a connection of the host's pool. For the whole transaction. */
export async function limitLockWait(transaction: PrismaTransaction, waitMs: number): Promise<void> {
  await transaction.$executeRaw`SELECT set_config('lock_timeout', ${`${String(waitMs)}ms`}, true)`
}

/**
 * One writer per user at a time, whichever process it is in: without it two of them could each see room for one more
 * connection, no row for this account, or no default. The lock ends with the transaction. A collision of hashes costs
 * a wait.
 */
export async function lockUser(transaction: PrismaTransaction, userId: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`cloud_connections ${userId}`}, 0))`
}

/**
 * One refresh per connection at a time. Not the row itself is locked: a provider that does not answer would keep
 * whoever removes or disables the connection waiting.
 */
export async function lockRefresh(transaction: PrismaTransaction, connectionId: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`token_refresh ${connectionId}`}, 0))`
}
