import { StorageError } from '../../domain/errors.ts'

const RETRY_AFTER_MS = 1000

/** What says that the database did not answer, by whichever of the layers on the way noticed it. */
const UNAVAILABLE = new Set([
  // Prisma: not reached, timed out, connection closed, no connection or no transaction to be had
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
  // a statement, a wait for a lock, an idle transaction or a whole transaction took longer than it may
  '57014',
  '55P03',
  '25P03',
  '25P04',
  // this is a standby: the primary is being replaced
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

/** Errors of node-postgres and PGlite that have nothing but their text. */
const UNAVAILABLE_TEXT =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered|was closed)|Cannot use a pool after|PGlite is clos)/

export function databaseUnavailable(cause: unknown): StorageError {
  return new StorageError('DATABASE_UNAVAILABLE', 'The database does not answer.', {
    retryAfterMs: RETRY_AFTER_MS,
    cause
  })
}

/**
 * Whether `error` means that the database did not answer, as opposed to an answer that nobody wanted. The reason
 * may lie deep: Prisma's error holds its adapter's, that one the driver's.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, errorCode, originalCode, kind, message, cause, meta } = error as Record<string, unknown>
  return (
    [code, errorCode, originalCode, kind].some(saysUnavailable) ||
    (typeof message === 'string' && UNAVAILABLE_TEXT.test(message)) ||
    isDatabaseUnavailable(cause) ||
    isDatabaseUnavailable((meta as Record<string, unknown> | undefined)?.['driverAdapterError']) ||
    (error instanceof AggregateError && error.errors.some(isDatabaseUnavailable))
  )
}

function saysUnavailable(code: unknown): boolean {
  return typeof code === 'string' && (UNAVAILABLE.has(code) || /^08\w{3}$/.test(code))
}
