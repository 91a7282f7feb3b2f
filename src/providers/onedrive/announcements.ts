import type { Call } from '../../core/backend.ts'
import type { WebSocketConnection } from '../../core/egress.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { transientFailure } from '../shared/errors.ts'
import { apiUrl, readJson } from '../shared/rest-client.ts'
import { noAnnouncements, PUSH_IDLE_MS } from '../shared/waits.ts'
import { rootOf } from './changes.ts'
import { pathOf } from './entries.ts'
import type { GraphSession } from './session.ts'

/** Statuses with which Graph refuses a subscription: without delegated access, and in drives and clouds without it. */
const REFUSALS: ReadonlySet<number> = new Set([400, 403, 404, 405, 501])
/** Socket.IO's namespace is the path of the URL. */
const NAMESPACE = /^\/[\w/-]{1,200}$/

/**
 * Waits until Graph reports a change of a drive through Socket.IO ("Get websocket endpoint"). The subscription lasts
 * longer than the wait, so it is never renewed.
 */
export async function waitForChange(session: GraphSession, freshness: PageFreshness, call: Call): Promise<boolean> {
  const { scope } = freshness
  if (scope === undefined) throw noAnnouncements()
  return await session.waits.wait(scope, call, async (signal) => {
    const endpoint = await getEndpoint(session, scope, { signal })
    const url = new URL(`/socket.io/?EIO=4&transport=websocket&${endpoint.search.slice(1)}`, endpoint)
    const connection = await session.egress.openWebSocket({ url, signal, idleMs: PUSH_IDLE_MS })
    try {
      return await listen(connection, endpoint.pathname)
    } finally {
      connection.close()
    }
  })
}

/** Returns the notification URL. Its query is a secret, and its host takes no token. */
async function getEndpoint(session: GraphSession, scope: string, { signal }: Call): Promise<URL> {
  const { client, origin, notificationHosts } = session
  const root = rootOf(scope)
  if (root === null) throw noAnnouncements()
  const url = apiUrl(origin, `${pathOf(root)}/subscriptions/socketIo`)
  const request = { url, signal, missing: 'OBJECT_NOT_FOUND' } as const
  const response = await client.send(request)
  if (response.status < 200 || response.status > 299) {
    const error = await client.readError(request, response)
    throw REFUSALS.has(response.status) ? noAnnouncements() : error
  }
  const { notificationUrl } = await readJson(response)
  return parseProviderUrl(notificationUrl, notificationHosts, 'The notification URL')
}

/** Speaks Engine.IO 4 and Socket.IO 5: opens both, answers pings, and waits for any event of the namespace. */
async function listen(connection: WebSocketConnection, namespace: string): Promise<boolean> {
  if (!NAMESPACE.test(namespace)) throw transientFailure('Graph returned a notification URL without a namespace')
  for await (const message of connection.messages) {
    if (message.startsWith('0')) {
      connection.send('40')
      connection.send(`40${namespace},`)
    } else if (message === '2') connection.send('3')
    else if (message.startsWith(`42${namespace},`)) return true
    else if (/^(?:1|41|44)/.test(message)) break
  }
  throw transientFailure('Graph closed the Socket.IO connection')
}
