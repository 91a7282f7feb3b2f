import { randomUUID } from 'node:crypto'
import type { Connection, ConnectionStatus, SealedConnection } from '../../domain/connection.ts'
import { StorageError } from '../../domain/errors.ts'
import type { Clock, ConnectionStore, NewConnection } from '../../domain/ports.ts'
import { systemClock } from '../clock.ts'
import { answered } from './answered.ts'
import type { ConnectionColumns, ConnectionRow, PrismaLike, PrismaTransaction } from './prisma-client.ts'
import { assertSchema } from './schema-check.ts'
import { isStorable, MAX_KEY_BYTES } from './storable-text.ts'

const COLUMNS: ConnectionColumns = {
  id: true,
  userId: true,
  provider: true,
  accountId: true,
  label: true,
  isDefault: true,
  status: true,
  scopes: true,
  lastErrorCode: true,
  connectedAt: true,
  createdAt: true,
  version: true,
  credentialsRevision: true
}

export interface ConnectionStoreOptions {
  /** How long a call may take, in milliseconds, before it is DATABASE_UNAVAILABLE. Default 5000. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

type Refused = Parameters<ConnectionStore['requireReauth']>[0]

/** What `saveConnected` needs to know of the row that it renews. */
interface Existing {
  readonly id: string
  readonly status: ConnectionStatus
  readonly connectedAt: Date
}

/**
 * The connections table behind a Prisma client. A call that was given up may still take effect: to repeat it is
 * safe, since it finds the row that it meant to write.
 */
export function createConnectionStore(prisma: PrismaLike, options: ConnectionStoreOptions = {}): ConnectionStore {
  const { timeoutMs = 5000, clock = systemClock } = options
  const ask = <T>(query: () => PromiseLike<T>) => answered(query, timeoutMs)

  async function find(userId: string, id: string): Promise<Connection | null> {
    if (!isStorable(userId, id)) return null
    return ask(() => prisma.cloudConnection.findFirst({ where: { id, userId }, select: COLUMNS }))
  }

  async function findSealed(userId: string, id: string): Promise<SealedConnection | null> {
    if (!isStorable(userId, id)) return null
    const select = { ...COLUMNS, credentials: true } as const
    const row = await ask(() => prisma.cloudConnection.findFirst({ where: { id, userId }, select }))
    if (row === null) return null
    const { credentials = '', ...connection } = row
    return { ...connection, sealedCredentials: credentials }
  }

  async function list(userId: string, provider?: string): Promise<Connection[]> {
    if (!isStorable(userId, provider ?? '')) return []
    return ask(() =>
      prisma.cloudConnection.findMany({
        where: provider === undefined ? { userId } : { userId, provider },
        orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
        select: COLUMNS
      })
    )
  }

  async function saveConnected(
    connection: NewConnection,
    seal: (connectionId: string) => string,
    maxPerUser: number
  ): Promise<Connection> {
    assertStorable(connection)
    return ask(() =>
      prisma.$transaction(
        async (transaction) => {
          await lockUser(transaction, connection.userId, timeoutMs)
          const existing = await lockExisting(transaction, connection)
          const now = clock.date()
          return existing === undefined
            ? insert(transaction, connection, seal, maxPerUser, now)
            : renew(transaction, connection, existing, seal, now)
        },
        // A host's default may be stricter, and would then show a transaction what was there before its lock.
        { maxWait: timeoutMs, timeout: timeoutMs, isolationLevel: 'ReadCommitted' }
      )
    )
  }

  async function requireReauth({ userId, id, credentialsRevision }: Refused): Promise<boolean> {
    if (!isStorable(userId, id)) return false
    const { count } = await ask(() =>
      prisma.cloudConnection.updateMany({
        where: { id, userId, credentialsRevision, status: 'ACTIVE' },
        data: { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' }
      })
    )
    return count > 0
  }

  async function remove(userId: string, id: string): Promise<Connection | null> {
    if (!isStorable(userId, id)) return null
    const [removed] = await ask(() => deleteRows(prisma, userId, id))
    return removed ?? null
  }

  async function removeAll(userId: string): Promise<Connection[]> {
    if (!isStorable(userId)) return []
    return ask(() => deleteRows(prisma, userId, null))
  }

  return {
    find,
    findSealed,
    list,
    saveConnected,
    requireReauth,
    remove,
    removeAll,
    assertReady: () => ask(() => assertSchema(prisma))
  }
}

/**
 * One writer per user at a time, whichever process it is in: without it two of them could each see room for one more
 * connection, or no row for this account. The lock ends with the transaction. A collision of hashes costs a wait.
 */
async function lockUser(transaction: PrismaTransaction, userId: string, timeoutMs: number): Promise<void> {
  // Else the wait would outlive the caller, and hold a connection of the host's pool.
  await transaction.$executeRaw`SELECT set_config('lock_timeout', ${`${String(timeoutMs)}ms`}, true)`
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`cloud_connections ${userId}`}, 0))`
}

/** Locked too, since removals and operators take no lock on the user. */
async function lockExisting(transaction: PrismaTransaction, connection: NewConnection): Promise<Existing | undefined> {
  const { userId, provider, accountId } = connection
  const rows = (await transaction.$queryRaw`
    SELECT id, status::text AS status, connected_at AS "connectedAt" FROM cloud_connections
    WHERE user_id = ${userId} AND provider = ${provider} AND account_id = ${accountId} FOR UPDATE`) as Existing[]
  return rows[0]
}

async function insert(
  transaction: PrismaTransaction,
  { userId, provider, accountId, label, scopes }: NewConnection,
  seal: (connectionId: string) => string,
  maxPerUser: number,
  now: number
): Promise<Connection> {
  const count = await transaction.cloudConnection.count({ where: { userId } })
  if (count >= maxPerUser) {
    throw new StorageError('INVALID_REQUEST', `There are ${String(count)} connections already: remove one first.`)
  }
  const id = randomUUID()
  const identity = { id, userId, provider, accountId, label }
  return transaction.cloudConnection.create({
    data: { ...identity, ...renewal(scopes, seal(id), now) },
    select: COLUMNS
  })
}

async function renew(
  transaction: PrismaTransaction,
  { scopes }: NewConnection,
  { id, status, connectedAt }: Existing,
  seal: (connectionId: string) => string,
  now: number
): Promise<Connection> {
  if (status === 'DISABLED') throw new StorageError('CONNECTION_INACTIVE', 'This connection was disabled.')
  // Always a later moment, else two renewals in one millisecond would be no change to the version's trigger.
  const later = Math.max(now, connectedAt.getTime() + 1)
  const data = renewal(scopes, seal(id), later)
  return transaction.cloudConnection.update({ where: { id }, data, select: COLUMNS })
}

function renewal(scopes: readonly string[], credentials: string, connectedAt: number) {
  return {
    status: 'ACTIVE' as const,
    scopes: [...scopes],
    credentials,
    connectedAt: new Date(connectedAt),
    lastErrorCode: null
  }
}

/** One statement, which says itself what it removed: nobody can come between. */
async function deleteRows(prisma: PrismaLike, userId: string, id: string | null): Promise<ConnectionRow[]> {
  return (await prisma.$queryRaw`
    DELETE FROM cloud_connections WHERE user_id = ${userId} AND (${id}::text IS NULL OR id = ${id})
    RETURNING id, user_id AS "userId", provider, account_id AS "accountId", label, is_default AS "isDefault",
      status::text AS status, scopes, last_error_code AS "lastErrorCode", connected_at AS "connectedAt",
      created_at AS "createdAt", version, credentials_revision AS "credentialsRevision"`) as ConnectionRow[]
}

function assertStorable({ userId, provider, accountId, label, scopes }: NewConnection): void {
  if (!isStorable(userId, provider, accountId, label, ...scopes)) {
    throw new StorageError('INVALID_REQUEST', 'A connection holds characters that cannot be stored.')
  }
  if (Buffer.byteLength(userId + provider + accountId) > MAX_KEY_BYTES) {
    throw new StorageError('INVALID_REQUEST', 'The name of this account is too long.')
  }
}
