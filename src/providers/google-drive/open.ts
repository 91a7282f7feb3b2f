import { LRUCache } from 'lru-cache'
import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { egressFetch } from '../../infra/net/egress-fetch.ts'
import { withBearer } from '../shared/bearer.ts'
import { importSdk } from '../shared/import-sdk.ts'
import { GoogleDriveBackend } from './backend.ts'
import { DriveClient } from './client.ts'
import { Places } from './places.ts'

/** Google retains an operation for at least 12 hours. */
const RENDERING_MS = 11 * 3_600_000
const MAX_RENDERINGS = 100

/**
 * Opens a connection without making a request.
 *
 * Imports only the Drive module: all of `googleapis` blocks the event loop for seconds. `index.js` is faster than
 * `v3.js`, although it loads v2 too: Node parses a module for its exports, and `v3.js` is large (Node 20, 2026-11).
 */
export async function openDrive(
  {
    api,
    contentOrigins = [],
    contentHosts = []
  }: {
    readonly api: string
    readonly contentOrigins?: readonly string[]
    readonly contentHosts?: readonly string[]
  },
  { accessTokens, egress, timeouts }: OAuthOpenContext
): Promise<StorageBackend> {
  const { drive_v3: sdk } = await importSdk('googleapis', () => import('googleapis/build/src/apis/drive/index.js'))
  const { origin } = new URL(api)
  const send = withBearer(egress, accessTokens, [origin, ...contentOrigins])
  const drive = new sdk.Drive({
    rootUrl: `${origin}/`,
    // Otherwise the environment may set another.
    universeDomain: 'googleapis.com',
    fetchImplementation: egressFetch(send),
    // Unused by our fetch. With an agent set, the SDK does not read a proxy from the environment.
    agent: egress.agents.https,
    // Retries are a layer of ours; Google's own ignores `Retry-After`.
    retry: false,
    responseType: 'json',
    // Error responses are distinguished by their reason, not by the text of an exception.
    validateStatus: () => true
  })
  return new GoogleDriveBackend({
    client: new DriveClient(drive, origin),
    places: new Places(),
    renderings: new LRUCache({ max: MAX_RENDERINGS, ttl: RENDERING_MS }),
    origin,
    contentOrigins,
    contentHosts,
    send,
    egress,
    timeouts
  })
}
