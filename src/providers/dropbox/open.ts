import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { withBearer } from '../shared/bearer.ts'
import { RestClient } from '../shared/rest-client.ts'
import { DropboxBackend } from './backend.ts'
import { DropboxClient } from './client.ts'
import { dropboxFailure } from './failure.ts'
import { withMissingScope } from './missing-scope.ts'

/** The origins of the service. */
export interface DropboxPlaces {
  /** The origin of the metadata API. */
  readonly api: string
  /** The origin for uploads and downloads. */
  readonly content: string
  /** Allowed hosts of temporary links, in the format of `pinnedUrl`. */
  readonly linkHosts: readonly string[]
}

/** Opens a connection without making a request. The path root is requested before the first call that needs it. */
export function openDropbox(
  { api, content, linkHosts }: DropboxPlaces,
  { accessTokens, egress, timeouts }: OAuthOpenContext
): StorageBackend {
  const origins = [new URL(api).origin, new URL(content).origin]
  const { idleMs } = timeouts
  const send = withBearer(withMissingScope(egress, idleMs), accessTokens, origins)
  const rest = new RestClient(send, idleMs, dropboxFailure)
  return new DropboxBackend({ client: new DropboxClient({ rest, api, content, idleMs }), linkHosts, timeouts })
}
