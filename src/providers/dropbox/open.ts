import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { withBearer } from '../shared/bearer.ts'
import { RestClient } from '../shared/rest-client.ts'
import { DropboxBackend } from './backend.ts'
import { DropboxClient } from './client.ts'
import { dropboxFailure } from './failure.ts'
import { withMissingScope } from './missing-scope.ts'

/** Where Dropbox is. */
export interface DropboxPlaces {
  /** The origin of all that is metadata. */
  readonly api: string
  /** The origin of content, up and down. */
  readonly content: string
  /** Where temporary links may lead, as `pinnedUrl` takes it. */
  readonly linkHosts: readonly string[]
}

/** Makes no call: where the paths of the account begin is asked before the first that needs it. */
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
