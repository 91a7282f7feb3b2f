import type { Egress, WebSocketConnection } from '../../core/egress.ts'
import type { Call } from '../../core/backend.ts'
import { isSameOrigin } from '../../net/redirects.ts'
import type { DavFeed } from '../dav/index.ts'
import type { DavClient } from '../dav/session.ts'
import { asObject } from '../shared/entries.ts'
import { transientFailure } from '../shared/errors.ts'
import { noAnnouncements, PUSH_IDLE_MS, Waits } from '../shared/waits.ts'
import { fetchCapabilities } from './session.ts'
import type { NextcloudSettings } from './settings.ts'

/**
 * Returns the operation that waits for a message of the app `notify_push` (its DEVELOPING.md). A server without the
 * app, or that refuses the login there, is not asked again. Changes between two waits are found by the next check.
 */
export function announcementsOf(settings: NextcloudSettings, egress: Egress): DavFeed['waitForChange'] {
  const waits = new Waits()
  return ({ client }, _freshness, call) =>
    waits.wait('', call, async (signal) => {
      const url = await fetchEndpoint(client, settings.base, { signal })
      const connection = await egress.openWebSocket({ url, signal, idleMs: PUSH_IDLE_MS })
      try {
        return await listen(connection, settings)
      } finally {
        connection.close()
      }
    })
}

/** The endpoint gets the password, so it must be at the server's own origin. */
async function fetchEndpoint(client: DavClient, base: URL, call: Call): Promise<URL> {
  const { notify_push: app } = await fetchCapabilities(client, base, call)
  const { websocket } = asObject(asObject(app)['endpoints'])
  const text = typeof websocket === 'string' ? websocket.replace(/^ws(?=s?:)/, 'http') : ''
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !isSameOrigin(url, base) || url.username !== '' || url.password !== '') throw noAnnouncements()
  return url
}

async function listen(connection: WebSocketConnection, { username, password }: NextcloudSettings): Promise<boolean> {
  connection.send(username)
  connection.send(password.reveal())
  let isAuthenticated = false
  for await (const message of connection.messages) {
    // A refused password is never sent again: Nextcloud may lock out all users of this server.
    if (!isAuthenticated && message !== 'authenticated') throw noAnnouncements()
    if (!isAuthenticated) connection.send('listen notify_file_id')
    else if (message === 'notify_file' || message.startsWith('notify_file_id ')) return true
    isAuthenticated = true
  }
  throw transientFailure('The server closed the WebSocket of notify_push')
}
