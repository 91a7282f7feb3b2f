import { LRUCache } from 'lru-cache'
import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { egressFetch } from '../../infra/net/egress-fetch.ts'
import { withBearer } from '../shared/bearer.ts'
import { importSdk } from '../shared/import-sdk.ts'
import { GoogleDriveBackend } from './backend.ts'
import { DriveClient } from './client.ts'
import { Places } from './places.ts'

/** Google remembers an operation for at least 12 hours. */
const RENDERING_MS = 11 * 3_600_000
const MAX_RENDERINGS = 100

/**
 * Makes no call.
 *
 * The SDK is its Drive module alone: all of `googleapis` stops the event loop for seconds. `index.js` and not `v3.js`,
 * although it loads v2 too: Node reads what it imports for its exports first, and `v3.js` is large (Node 20, 2026-11).
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
    // Else the environment may name another.
    universeDomain: 'googleapis.com',
    fetchImplementation: egressFetch(send),
    // Never asked, as our fetch takes none; but where one is given, no proxy is looked for in the environment.
    agent: egress.agents.https,
    // Retries are a layer of ours; Google's own heeds no `Retry-After`.
    retry: false,
    responseType: 'json',
    // Answers are told apart by their reason, not by the text of an exception.
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
