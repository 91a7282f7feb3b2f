import type { Call } from '../../core/backend.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import { sleep } from '../../core/time.ts'
import { asObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import { LONG_POLL, noAnnouncements } from '../shared/waits.ts'
import { dropboxFailure } from './errors.ts'
import type { DropboxAnnouncements, DropboxSession } from './session.ts'

/** Dropbox allows 30 to 480 seconds, and adds up to 90. */
const TIMEOUT_S = 240
const MAX_BACKOFF_MS = 300_000

/**
 * Waits until Dropbox reports a change in a folder. The request contains only the mark of the folder, which is a
 * cursor. The host for it takes no token.
 */
export async function waitForChange(
  { announcements, timeouts }: DropboxSession,
  { mark }: PageFreshness,
  call: Call
): Promise<boolean> {
  if (mark === undefined) throw noAnnouncements()
  return await announcements.waits.wait(mark, call, (signal) => poll(announcements, mark, timeouts.idleMs, signal))
}

async function poll(
  announcements: DropboxAnnouncements,
  mark: string,
  idleMs: number,
  signal: AbortSignal
): Promise<boolean> {
  const { url, egress } = announcements
  // Before the request, not after it: an announcement must not wait.
  const waitMs = announcements.notBefore - egress.clock.now()
  if (waitMs > 0) await sleep(waitMs, signal)
  const response = await egress.request({
    ...LONG_POLL,
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cursor: mark, timeout: TIMEOUT_S }),
    signal
  })
  const body = await readErrorBody(response, idleMs)
  signal.throwIfAborted()
  if (response.status !== 200) {
    const error = dropboxFailure('POST', response, body, 'FOLDER_NOT_FOUND')
    // The cursor was reset. The next check finds the same.
    if (error.code === 'CURSOR_EXPIRED') return true
    throw error
  }
  const { changes, backoff } = asObject(body)
  if (typeof changes !== 'boolean') throw failure('PROVIDER_ERROR', 'Dropbox did not report whether something changed')
  if (typeof backoff === 'number' && backoff > 0) {
    announcements.notBefore = egress.clock.now() + Math.min(backoff * 1000, MAX_BACKOFF_MS)
  }
  return changes
}
