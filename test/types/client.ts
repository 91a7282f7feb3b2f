/** Types that the compiler must accept and reject for the typed client. Compiled, never run. */
import { expectTypeOf } from 'expect-type'
import {
  createCloudStorageClient,
  type Connection,
  type Entry,
  type Listing,
  type Problem
} from '../../src/client/index.ts'
import type { ConnectionStatus } from '../../src/core/connection.ts'
import type * as domain from '../../src/core/entry.ts'
import type { StorageErrorCode } from '../../src/errors.ts'

const client = createCloudStorageClient({ baseUrl: '' })
const params = { path: { provider: 's3' } }

const listed = await client.GET('/{provider}/listing', { params })
if (listed.error === undefined) expectTypeOf(listed.data).toEqualTypeOf<Listing>()
else expectTypeOf(listed.error.code).extract<'CURSOR_EXPIRED'>().toEqualTypeOf<'CURSOR_EXPIRED'>()

// The described types are those of the package itself.
expectTypeOf<Entry>().toExtend<domain.Entry>()
expectTypeOf<Listing>().toExtend<domain.Listing>()
expectTypeOf<keyof Entry>().toEqualTypeOf<keyof domain.Entry>()
expectTypeOf<keyof Listing>().toEqualTypeOf<keyof domain.Listing>()
expectTypeOf<Entry['kind']>().toEqualTypeOf<domain.EntryKind>()
expectTypeOf<Listing['page']['reason']>().toEqualTypeOf<domain.IncompleteReason | null>()
expectTypeOf<Connection['status']>().toEqualTypeOf<ConnectionStatus>()
expectTypeOf<Problem['code']>().toEqualTypeOf<StorageErrorCode>()

// @ts-expect-error -- there is no such route
await client.GET('/{provider}/listings', { params })
// @ts-expect-error -- a route of the ready-made server is not the plugin's
await client.GET('/health/live')
// @ts-expect-error -- a provider must be named
await client.GET('/{provider}/listing', { params: {} })
// @ts-expect-error -- no such kind
await client.GET('/{provider}/listing', { params: { ...params, query: { kind: 'drive' } } })
// @ts-expect-error -- a folder has a name
await client.POST('/{provider}/folders', { params, body: { parentId: null } })
// @ts-expect-error -- there is no such route
client.urlOf('/nothing')
// @ts-expect-error -- the base URL is required
createCloudStorageClient({})
