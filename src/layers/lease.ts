import type { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../errors.ts'
import { sleep } from '../core/time.ts'
import type { Download, StorageBackend } from '../core/backend.ts'
import { untilAborted } from '../core/time.ts'
import { aroundEach, type BackendCall } from './layer.ts'

export interface LeaseWatch {
  /**
   * Resolves if the connection may be used, according to information that is at most `withinMs` old.
   *
   * @throws StorageError if it may not be used, or if that is unknown
   */
  readonly confirm: (withinMs: number) => Promise<void>
  /** The lease in milliseconds. */
  readonly leaseMs: number
}

/** Calls that disclose data. Writes are excluded: they have happened and must not be reported as failed. */
const TELLING: ReadonlySet<BackendCall> = new Set<BackendCall>(['listFolder', 'stat', 'download', 'downloadUrl'])
/** Lease of a body if leases are disabled: the connection cannot be checked for each byte. */
const READ_EACH_TIME_MS = 1_000
/** The age, the interval and the timeout of a confirmation are one such share each: together, one lease. */
const SHARES = 3
/** Delay before the database is queried again after an immediate failure. */
const AGAIN_MS = 50
const MIN_SHARE_MS = 10

/**
 * Returns no data of a connection that was changed or removed meanwhile, and ends a body in progress when that
 * happens. A body is also ended if the connection cannot be confirmed.
 */
export function withLease(backend: StorageBackend, watch: LeaseWatch): StorageBackend {
  const leaseMs = watch.leaseMs === 0 ? READ_EACH_TIME_MS : watch.leaseMs
  const shareMs = Math.max(MIN_SHARE_MS, leaseMs / SHARES)
  return aroundEach(backend, async (call, signal, run) => {
    const answer = await run(signal)
    if (!TELLING.has(call)) return answer
    const body = call === 'download' ? (answer as Download).body : null
    try {
      await watch.confirm(body === null ? leaseMs : shareMs)
    } catch (error) {
      body?.destroy()
      throw error
    }
    if (body !== null) void guard(body, watch, shareMs)
    return answer
  })
}

async function guard(body: Readable, { confirm }: LeaseWatch, shareMs: number): Promise<void> {
  const closed = new AbortController()
  const stop = (): void => {
    closed.abort()
  }
  body.once('close', stop)
  if (body.closed) stop()
  // The caller may not have begun to read the body: an unhandled error would end the process.
  body.on('error', () => {})
  try {
    for (;;) {
      await sleep(shareMs, closed.signal)
      await confirmed(confirm, shareMs, closed.signal)
    }
  } catch (error) {
    // Has no effect on a body that is already closed.
    body.destroy(error as Error)
  } finally {
    body.off('close', stop)
  }
}

/** @throws StorageError also if there is no result within `shareMs` */
async function confirmed(confirm: LeaseWatch['confirm'], shareMs: number, closed: AbortSignal): Promise<void> {
  const round = new AbortController()
  const leave = (): void => {
    round.abort(closed.reason)
  }
  closed.addEventListener('abort', leave, { once: true })
  const timer = setTimeout(() => {
    round.abort(new StorageError('DATABASE_UNAVAILABLE', 'The state of this connection cannot be checked.'))
  }, shareMs)
  try {
    await untilAborted(untilTold(confirm, shareMs, round.signal), round.signal)
  } finally {
    clearTimeout(timer)
    closed.removeEventListener('abort', leave)
  }
}

async function untilTold(confirm: LeaseWatch['confirm'], shareMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await confirm(shareMs)
      return
    } catch (error) {
      if (!isStorageError(error, 'DATABASE_UNAVAILABLE')) throw error
    }
    await sleep(AGAIN_MS, signal)
  }
}
