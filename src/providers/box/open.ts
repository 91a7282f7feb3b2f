import type { OAuthOpenContext } from '../../domain/provider.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { withBearer } from '../shared/bearer.ts'
import { RestClient } from '../shared/rest-client.ts'
import { BoxBackend } from './backend.ts'
import { boxFailure } from './failure.ts'
import type { BoxServer } from './server.ts'

/** The origins of the service. */
export interface BoxOrigins {
  /** The origin of the API. */
  readonly api: string
  /** The origin for uploads. */
  readonly upload: string
  /** Sources of downloads: origins, and hosts over https (`content.example.org`, `*.example.org`). */
  readonly contentHosts: readonly string[]
}

/** Opens a connection without making a request. */
export function openBox(origins: BoxOrigins, context: OAuthOpenContext): StorageBackend {
  const { accessTokens, egress, timeouts, spool } = context
  const [api, upload] = [new URL(origins.api).origin, new URL(origins.upload).origin]
  const send = withBearer(egress, accessTokens, [api, upload])
  const client = new RestClient(send, timeouts.idleMs, boxFailure)
  const server: BoxServer = { client, api, upload, contentHosts: origins.contentHosts, egress, timeouts, spool }
  return new BoxBackend(server)
}
