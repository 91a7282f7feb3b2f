import { withTimeout } from '../core/time.ts'
import { isStorageError, StorageError } from '../errors.ts'
import type { PrismaTransaction } from './prisma-client.ts'

const RETRY_AFTER_MS = 1000

/** Codes that mean that the database did not respond, from all layers that may notice it. */
const UNAVAILABLE_CODES = new Set([
  // Prisma: unreachable, timed out, connection closed, no connection or no transaction available
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2028',
  'P2037',
  // PostgreSQL (its class 08 as well): shutting down, crashed, starting, dropped
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  // too many connections
  '53300',
  // a statement, a lock wait, an idle transaction or a whole transaction exceeded its timeout
  '57014',
  '55P03',
  '25P03',
  '25P04',
  // the server is a standby: the primary is being replaced
  '25006',
  // sockets
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  // Prisma's driver adapter
  'ConnectionClosed',
  'DatabaseNotReachable',
  'SocketTimeout',
  'TooManyConnections'
])

/** Errors of node-postgres and PGlite that have only a message. */
const UNAVAILABLE_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered|was closed)|Cannot use a pool after|PGlite is clos)/

export function databaseUnavailable(cause: unknown): StorageError {
  return new StorageError('DATABASE_UNAVAILABLE', 'The database is unavailable.', {
    retryAfterMs: RETRY_AFTER_MS,
    cause
  })
}

/**
 * Returns true if `error` means that the database did not respond, as opposed to an error response. Errors are
 * nested: Prisma's error contains its adapter's, and that one the driver's.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, errorCode, originalCode, kind, message, cause, meta } = error as Record<string, unknown>
  return (
    [code, errorCode, originalCode, kind].some(isUnavailableCode) ||
    (typeof message === 'string' && UNAVAILABLE_MESSAGE.test(message)) ||
    isDatabaseUnavailable(cause) ||
    isDatabaseUnavailable((meta as Record<string, unknown> | undefined)?.['driverAdapterError']) ||
    (error instanceof AggregateError && error.errors.some(isDatabaseUnavailable))
  )
}

function isUnavailableCode(code: unknown): boolean {
  return typeof code === 'string' && (UNAVAILABLE_CODES.has(code) || /^08\w{3}$/.test(code))
}

/**
 * Runs a query with a timeout in milliseconds.
 *
 * @throws StorageError `DATABASE_UNAVAILABLE`
 */
export async function queryWithTimeout<T>(query: () => PromiseLike<T>, timeoutMs: number): Promise<T> {
  const toError = (): StorageError => databaseUnavailable(new Error(`no response within ${String(timeoutMs)} ms`))
  try {
    return await withTimeout(timeoutMs, null, toError, query)
  } catch (error) {
    if (!isStorageError(error) && isDatabaseUnavailable(error)) throw databaseUnavailable(error)
    throw error
  }
}

const TABLES = ['cloud_connections', 'cloud_connection_changes', 'oauth_states']
/** Without these triggers a revoked connection would remain in use, without any error. */
const TRIGGERS = [
  'cloud_connections_keep_versions',
  'cloud_connections_announce_insert',
  'cloud_connections_announce_update',
  'cloud_connections_announce_delete',
  'cloud_connections_announce_truncate'
]

/** A replica receives changes late: a revoked connection would remain in use for as long as it lags behind. */
export const REPLICA_MESSAGE =
  'The database is a read replica. Pass the Prisma client of the primary (with @prisma/extension-read-replicas: ' +
  'prisma.$primary())'

const LOG_PRIVILEGES = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

interface ServerRow {
  readonly isReplica: boolean
  readonly role: string
  /** Of {@link LOG_PRIVILEGES}, those that the role lacks. */
  readonly lacking: readonly string[]
}

/**
 * @throws Error that names the missing objects or privileges, or says that the database is a replica, and names the
 * remedy
 */
export async function assertSchema(prisma: Pick<PrismaTransaction, '$queryRaw'>): Promise<void> {
  const [{ isReplica, role, lacking }] = (await prisma.$queryRaw`
    SELECT pg_is_in_recovery() AS "isReplica", quote_ident(current_user) AS role,
      ARRAY(SELECT privilege FROM unnest(${LOG_PRIVILEGES}::text[]) AS privilege
        WHERE NOT has_table_privilege(to_regclass('cloud_connection_changes'), privilege)) AS lacking`) as [ServerRow]
  if (isReplica) throw new Error(REPLICA_MESSAGE)
  if (lacking.length > 0) {
    const privileges = lacking.join(', ')
    throw new Error(
      `The role ${role} lacks privileges. Run: GRANT ${privileges} ON cloud_connection_changes TO ${role}`
    )
  }
  // A trigger that is disabled (D), or fires only for replication (R), counts as missing.
  const found = (await prisma.$queryRaw`
    SELECT name FROM unnest(${TABLES}::text[]) AS name WHERE to_regclass(name) IS NOT NULL
    UNION ALL
    SELECT tgname::text FROM pg_trigger
    WHERE tgrelid = to_regclass('cloud_connections') AND NOT tgisinternal AND tgenabled IN ('O', 'A')`) as {
    name: string
  }[]
  const present = new Set(found.map(({ name }) => name))
  const missing = [...TABLES, ...TRIGGERS].filter((name) => !present.has(name))
  if (missing.length > 0) {
    throw new Error(
      `The database lacks ${missing.join(', ')}. Apply the migrations of fastify-cloud-storage (its folder ` +
        'prisma/migrations) with `prisma migrate deploy`, or open the database with openDatabase()'
    )
  }
}
