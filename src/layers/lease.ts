import type { Readable } from 'node:stream'
import type { Download } from '../core/backend.ts'
import { sleep, withTimeout } from '../core/time.ts'
import { isStorageError, StorageError } from '../errors.ts'
import type { BackendMethod, CallRunner } from './layer.ts'

export interface LeaseVerifier {
  /**
   * Resolves if the connection may be used, according to information that is at most `maxAgeMs` old.
   *
   * @throws StorageError if it may not be used, or if that is unknown
   */
  readonly confirm: (maxAgeMs: number) => Promise<void>
  /** The lease in milliseconds. */
  readonly leaseMs: number
}

/** Calls that disclose data. Writes are excluded: they have happened and must not be reported as failed. */
const DISCLOSING_METHODS: ReadonlySet<BackendMethod> = new Set<BackendMethod>([
  'listFolder',
  'stat',
  'download',
  'downloadUrl'
])
/** Lease of a body if leases are disabled: the connection cannot be checked for each byte. */
const DEFAULT_BODY_LEASE_MS = 1_000
/**
 * One interval passes between two confirmations, and a confirmation may take another. The information may be two
 * intervals old, so that the poll which renews the lease of the instance in its second half serves bodies, too.
 */
const INTERVALS_PER_LEASE = 4
/** Delay before the database is queried again after an immediate failure. */
const RETRY_DELAY_MS = 50
const MIN_INTERVAL_MS = 10

/**
 * Returns no data of a connection that was changed or removed meanwhile, and ends a body in progress when that
 * happens. A body is also ended if the connection cannot be confirmed.
 */
export function withLease(next: CallRunner, verifier: LeaseVerifier): CallRunner {
  const leaseMs = verifier.leaseMs === 0 ? DEFAULT_BODY_LEASE_MS : verifier.leaseMs
  const intervalMs = Math.max(MIN_INTERVAL_MS, leaseMs / INTERVALS_PER_LEASE)
  return async (method, call, run) => {
    const result = await next(method, call, run)
    if (!DISCLOSING_METHODS.has(method)) return result
    const body = method === 'download' ? (result as Download).body : null
    try {
      await verifier.confirm(body === null ? leaseMs : 2 * intervalMs)
    } catch (error) {
      body?.destroy()
      throw error
    }
    if (body !== null) void monitorBody(body, verifier, intervalMs)
    return result
  }
}

async function monitorBody(body: Readable, { confirm }: LeaseVerifier, intervalMs: number): Promise<void> {
  const closed = new AbortController()
  const onClose = (): void => {
    closed.abort()
  }
  body.once('close', onClose)
  if (body.closed) onClose()
  // The caller may not have begun to read the body: an unhandled error would end the process.
  body.on('error', () => {})
  try {
    for (;;) {
      await sleep(intervalMs, closed.signal)
      await confirmWithTimeout(confirm, intervalMs, closed.signal)
    }
  } catch (error) {
    // Has no effect on a body that is already closed.
    body.destroy(error as Error)
  } finally {
    body.off('close', onClose)
  }
}

/** @throws StorageError also if there is no result within `intervalMs` */
async function confirmWithTimeout(
  confirm: LeaseVerifier['confirm'],
  intervalMs: number,
  closed: AbortSignal
): Promise<void> {
  const toError = (): StorageError =>
    new StorageError('DATABASE_UNAVAILABLE', 'The state of this connection cannot be checked.')
  await withTimeout(intervalMs, closed, toError, (signal) => confirmWithRetries(confirm, 2 * intervalMs, signal))
}

async function confirmWithRetries(
  confirm: LeaseVerifier['confirm'],
  maxAgeMs: number,
  signal: AbortSignal
): Promise<void> {
  for (;;) {
    try {
      await confirm(maxAgeMs)
      return
    } catch (error) {
      if (!isStorageError(error, 'DATABASE_UNAVAILABLE')) throw error
    }
    await sleep(RETRY_DELAY_MS, signal)
  }
}
