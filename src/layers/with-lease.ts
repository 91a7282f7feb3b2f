import type { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../domain/errors.ts'
import { sleep } from '../domain/sleep.ts'
import type { Download, StorageBackend } from '../domain/storage-backend.ts'
import { untilAborted } from '../domain/until-aborted.ts'
import { aroundEach, type BackendCall } from './around-each.ts'

export interface LeaseWatch {
  /**
   * Whether the connection still may be used, as far as is known of the last `withinMs`.
   *
   * @throws StorageError where it may not, or where nobody can tell
   */
  readonly confirm: (withinMs: number) => Promise<void>
  /** How long that may be believed, in milliseconds. */
  readonly leaseMs: number
}

/** What tells something of the account. Whatever wrote has been done, and must not look as if it had not. */
const TELLING: ReadonlySet<BackendCall> = new Set<BackendCall>(['listFolder', 'stat', 'download', 'downloadUrl'])
/** Where nothing is believed at all, a body is still not looked after at each of its bytes. */
const READ_EACH_TIME_MS = 1_000
/** In each lease it is asked so often: each answer has as long as what is left of the lease. */
const SHARES = 3
/** A database that fails at once is asked again before the lease is over. */
const AGAIN_MS = 50
const MIN_SHARE_MS = 10

/**
 * Hands out nothing of a connection that was changed or removed meanwhile, and ends a body that is under way when it
 * is. A body whose connection nobody can confirm is ended too: it is no more to be believed than a listing.
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
  // Whoever has the body may not have begun to read it: unheard, its error would end the process.
  body.on('error', () => {})
  try {
    for (;;) {
      await sleep(shareMs, closed.signal)
      await confirmed(confirm, shareMs, closed.signal)
    }
  } catch (error) {
    // A body that is closed already hears nothing of it.
    body.destroy(error as Error)
  } finally {
    body.off('close', stop)
  }
}

/** @throws StorageError also where there is no answer within `shareMs` */
async function confirmed(confirm: LeaseWatch['confirm'], shareMs: number, closed: AbortSignal): Promise<void> {
  const round = new AbortController()
  const leave = (): void => {
    round.abort(closed.reason)
  }
  closed.addEventListener('abort', leave, { once: true })
  const timer = setTimeout(() => {
    round.abort(new StorageError('DATABASE_UNAVAILABLE', 'Nobody can tell whether this connection still may be used.'))
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
