import type { Call } from '../../core/backend.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { asObject } from '../shared/entries.ts'
import { failure, httpFailure, transientFailure } from '../shared/errors.ts'
import { apiUrl, readErrorBody } from '../shared/rest-client.ts'
import { LONG_POLL } from '../shared/waits.ts'
import type { BoxSession } from './session.ts'

/** Box asks for 10 at most ("Use long polling to monitor events"). */
const MAX_RETRIES = 10

/** Waits until Box reports an event of the user, together with all callers of the connection. */
export async function waitForChange(session: BoxSession, _freshness: PageFreshness, call: Call): Promise<boolean> {
  return await session.waits.wait('', call, (signal) => poll(session, { signal }))
}

/**
 * Box ends long polls with `reconnect`. A server that does so again and again counts as failed: the caller waits
 * before it tries again.
 */
async function poll(session: BoxSession, call: Call): Promise<boolean> {
  let { url, maxRetries } = await getServer(session, call)
  for (let retry = 0; retry <= maxRetries; retry += 1) {
    const message = await getMessage(session, url, call)
    if (message === 'new_change') return true
    if (message !== 'reconnect') throw failure('PROVIDER_ERROR', 'Box returned an unknown message of its long poll')
    if (retry < maxRetries) ({ url, maxRetries } = await getServer(session, call, maxRetries))
  }
  throw transientFailure('Box has ended its long polls too often')
}

/** @param maxRetries the limit of an earlier server, which later ones do not extend */
async function getServer(
  { client, origin, realtimeHosts }: BoxSession,
  { signal }: Call,
  maxRetries = MAX_RETRIES
): Promise<{ readonly url: URL; readonly maxRetries: number }> {
  const request = {
    method: 'OPTIONS',
    url: apiUrl(origin, '/2.0/events'),
    signal,
    missing: 'OBJECT_NOT_FOUND'
  } as const
  const { entries } = await client.json(request)
  const { url, max_retries: limit } = asObject(Array.isArray(entries) ? entries[0] : undefined)
  // Box writes the number as text.
  const ownLimit = /^\d{1,4}$/.test(String(limit)) ? Number(limit) : MAX_RETRIES
  // Box documents a URL of plain http.
  const isDeclared = typeof url === 'string' && realtimeHosts.some((host) => url.startsWith(`${host}/`))
  const secureUrl = typeof url === 'string' && !isDeclared ? url.replace(/^http:/, 'https:') : url
  return {
    url: parseProviderUrl(secureUrl, realtimeHosts, 'The URL of the long poll'),
    maxRetries: Math.min(maxRetries, ownLimit)
  }
}

/** The URL contains the name of a channel, which is a secret, and the host takes no token. */
async function getMessage({ egress, timeouts }: BoxSession, url: URL, { signal }: Call): Promise<unknown> {
  const response = await egress.request({ ...LONG_POLL, method: 'GET', url, signal })
  const body = await readErrorBody(response, timeouts.idleMs)
  signal.throwIfAborted()
  if (response.status !== 200) throw httpFailure('GET', response, 'OBJECT_NOT_FOUND')
  return asObject(body)['message']
}
