import type { Egress } from '../../core/egress.ts'
import type { Timeouts } from '../../core/stores.ts'
import type { UploadSpool } from '../../core/provider.ts'
import type { Call } from '../../core/backend.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import type { RestClient } from '../shared/rest-client.ts'
import { type BoxItem, fieldsOf, isActive } from './entries.ts'
import { type ItemId, pathOf, readId } from './entries.ts'

/** An open connection to Box, used by every operation. */
export interface BoxSession {
  /** Sends the connection's token to `api` and `upload` only. */
  readonly client: RestClient
  /** The origin of the API. */
  readonly origin: string
  /** The origin for uploads. */
  readonly uploadOrigin: string
  /** Sources of downloads, in the format of `pinnedUrl`. */
  readonly contentHosts: readonly string[]
  /** For requests to content URLs, which need no token. */
  readonly egress: Egress
  readonly timeouts: Timeouts
  /** Stores uploads of unknown size, because Box needs the size first. */
  readonly spool: UploadSpool
}

/** Gets one item. @throws StorageError `missing` if it does not exist or is in the trash */
export async function getItem(
  session: BoxSession,
  itemId: ItemId,
  { signal }: Call,
  missing: NotFoundCode
): Promise<BoxItem> {
  const { type: requestedType } = itemId
  const url = apiUrl(
    session.origin,
    pathOf(itemId),
    requestedType === 'web_link' ? {} : { fields: fieldsOf(requestedType) }
  )
  const item = await session.client.json({ url, signal, missing })
  const { type, id } = readId(item)
  if (type !== itemId.type || id !== itemId.id) throw failure('PROVIDER_ERROR', 'Box returned a different item')
  if (!isActive(item)) throw failure(missing)
  return item
}
