import type { Egress } from '../../domain/egress.ts'
import type { Timeouts } from '../../domain/ports.ts'
import type { UploadSpool } from '../../domain/provider.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import type { RestClient } from '../shared/rest-client.ts'
import { type BoxItem, fieldsOf, isActive } from './entries.ts'
import { type BoxId, pathOf, readId } from './ids.ts'

/** An opened connection to Box: what every operation works on. */
export interface BoxServer {
  /** Sends the connection's token, to `api` and `upload` alone. */
  readonly client: RestClient
  /** The origin of the API. */
  readonly api: string
  /** The origin that takes content. */
  readonly upload: string
  /** Where content is downloaded from, as `pinnedUrl` takes it. */
  readonly contentHosts: readonly string[]
  /** For content, whose address is its own token. */
  readonly egress: Egress
  readonly timeouts: Timeouts
  /** For uploads of unknown size: Box must know it first. */
  readonly spool: UploadSpool
}

/** Looks at one item. @throws StorageError `missing` where it is not there, or in the trash */
export async function look(server: BoxServer, about: BoxId, { signal }: Call, missing: Missing): Promise<BoxItem> {
  const { type: asked } = about
  const url = apiUrl(server.api, pathOf(about), asked === 'web_link' ? {} : { fields: fieldsOf(asked) })
  const item = await server.client.json({ url, signal, missing })
  const { type, id } = readId(item)
  if (type !== about.type || id !== about.id) throw failure('PROVIDER_ERROR', 'Box told of another item than was asked')
  if (!isActive(item)) throw failure(missing)
  return item
}
