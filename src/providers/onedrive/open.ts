import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { withBearer } from '../shared/bearer.ts'
import { RestClient } from '../shared/rest-client.ts'
import { OneDriveBackend } from './backend.ts'
import { graphFailure } from './failure.ts'
import { OwnDrive } from './own-drive.ts'

/** Opens a connection without making a request. @param endpoints the API's origin, and the content hosts */
export function openGraph(
  endpoints: { readonly api: string; readonly contentHosts: readonly string[] },
  { accessTokens, egress, timeouts, spool }: OAuthOpenContext
): StorageBackend {
  const { origin } = new URL(endpoints.api)
  const send = withBearer(egress, accessTokens, [origin])
  return new OneDriveBackend({
    rest: new RestClient(send, timeouts.idleMs, graphFailure),
    origin,
    egress,
    contentHosts: endpoints.contentHosts,
    timeouts,
    spool,
    own: new OwnDrive()
  })
}
