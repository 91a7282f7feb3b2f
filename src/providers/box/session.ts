import type { Call } from '../../core/backend.ts'
import type { Egress } from '../../core/egress.ts'
import type { OAuthOpenContext, UploadSpool } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { withBearer } from '../shared/bearer.ts'
import type { JsonObject } from '../shared/entries.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { apiUrl, RestClient } from '../shared/rest-client.ts'
import { Waits } from '../shared/waits.ts'
import { fieldsOf, isActive, type ItemId, pathOf, readId } from './entries.ts'
import { boxFailure } from './errors.ts'

/** The origins of the service. */
export interface BoxOrigins {
  /** The origin of the API. */
  readonly api: string
  /** The origin for uploads. */
  readonly upload: string
  /** Sources of downloads: origins, and hosts over https (`content.example.org`, `*.example.org`). */
  readonly contentHosts: readonly string[]
  /** Hosts that announce changes, in the same format. */
  readonly realtimeHosts: readonly string[]
}

/** An open connection to Box, used by every operation. */
export interface BoxSession {
  /** Sends the connection's token to `origin` and `uploadOrigin` only. */
  readonly client: RestClient
  /** The origin of the API. */
  readonly origin: string
  /** The origin for uploads. */
  readonly uploadOrigin: string
  readonly contentHosts: readonly string[]
  /** For requests to content URLs, which need no token. */
  readonly egress: Egress
  readonly timeouts: Timeouts
  /** Stores uploads of unknown size, because Box needs the size first. */
  readonly spool: UploadSpool
  readonly realtimeHosts: readonly string[]
  readonly waits: Waits
}

/** Opens a connection without making a request. */
export function openSession(
  { api, upload, contentHosts, realtimeHosts }: BoxOrigins,
  { accessTokens, egress, timeouts, spool }: OAuthOpenContext
): BoxSession {
  const [origin, uploadOrigin] = [new URL(api).origin, new URL(upload).origin]
  const send = withBearer(egress, accessTokens, [origin, uploadOrigin])
  const client = new RestClient(send, timeouts.idleMs, boxFailure)
  const waits = new Waits()
  return { client, origin, uploadOrigin, contentHosts, egress, timeouts, spool, realtimeHosts, waits }
}

/** Gets one item. @throws StorageError `missing` if it does not exist or is in the trash */
export async function getItem(
  { client, origin }: BoxSession,
  itemId: ItemId,
  { signal }: Call,
  missing: NotFoundCode
): Promise<JsonObject> {
  const query = itemId.type === 'web_link' ? {} : { fields: fieldsOf(itemId.type) }
  const item = await client.json({ url: apiUrl(origin, pathOf(itemId), query), signal, missing })
  const { type, id } = readId(item)
  if (type !== itemId.type || id !== itemId.id) throw failure('PROVIDER_ERROR', 'Box returned a different item')
  if (!isActive(item)) throw failure(missing)
  return item
}
