/** Types that the compiler must accept and reject for the public API. Compiled, never run. */
import { expectTypeOf } from 'expect-type'
import { Redis } from 'ioredis'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import cloudStorage, {
  type CloudStorageOptions,
  createFolderCache,
  defineProvider,
  type FolderCache,
  type ProviderDefinition,
  Secret,
  type StorageBackend,
  StorageError,
  type StorageErrorCode,
  type StoredDocument
} from '../../src/index.ts'
import { openDatabase } from '../../src/db/open-database.ts'

const app = Fastify()
const db = await openDatabase()

await app.register(cloudStorage, {
  prisma: db.prisma,
  listen: db.listen,
  authenticate: async (request) => (request.headers['x-user'] as string | undefined) ?? null,
  encryption: { current: 'k1', keys: { k1: '' } },
  managed: {
    minio: { type: 's3', bucket: 'b', credentials: { accessKeyId: 'a', secretAccessKey: 's' } },
    local: { type: 'disk', directory: '/srv' }
  },
  providers: { s3: { allowHosts: ['10.0.0.0/24', 'nas.lan:8443'] } },
  cache: { ttlMs: 30_000, shared: { redis: new Redis({ lazyConnect: true }) } },
  transfers: { maxBytes: 1024 ** 3 },
  routePrefix: false
})

// @ts-expect-error -- `authenticate` is required
app.register(cloudStorage, { prisma: db.prisma, encryption: { current: 'k1', keys: {} } })
// @ts-expect-error -- a user ID is a string
app.register(cloudStorage, { prisma: db.prisma, encryption: { current: 'k1', keys: {} }, authenticate: () => 42 })
// @ts-expect-error -- a disk store has a directory
const store: CloudStorageOptions['managed'] = { minio: { type: 'disk' } }
// @ts-expect-error -- option names contain their units
const cache: CloudStorageOptions['cache'] = { ttl: 60 }
// @ts-expect-error -- a limit is a number of bytes
const transfers: CloudStorageOptions['transfers'] = { maxBytes: '1 GB' }
export { cache, store, transfers }

expectTypeOf<FastifyInstance['folderCache']>().toEqualTypeOf<FolderCache>()
expectTypeOf<FastifyInstance['getStorageBackendForDocument']>().returns.resolves.toEqualTypeOf<StorageBackend>()
expectTypeOf<FastifyRequest['storageBackend']>().toEqualTypeOf<StorageBackend>()
expectTypeOf<FastifyRequest['storageDocument']>().toEqualTypeOf<StoredDocument>()

app.get('/documents/:id', {
  preHandler: app.storageBackendHook({
    document: async (_request, user) => ({ id: 'd', userId: user.id, storageBackend: 'minio', objectKey: 'k' })
  }),
  handler: (request) => request.storageBackend.provider
})
// @ts-expect-error -- only the hook may set the backend of a request
app.addHook('onRequest', async (request) => void (request.storageBackend = {} as StorageBackend))

const listings = createFolderCache({ ttlMs: 1000 })
expectTypeOf(
  listings.getOrFetch({ userId: 'u', provider: 'p', folderId: null }, async () => [1])
).resolves.toEqualTypeOf<number[]>()
// @ts-expect-error -- the folder ID is required; `null` is the root
void listings.getOrFetch({ userId: 'u', provider: 'p' }, async () => 1)

declare const backend: StorageBackend
// @ts-expect-error -- optional methods must be checked first
void backend.upload({ id: 'x' }, process.stdin, { signal: new AbortController().signal })
// @ts-expect-error -- every call has a signal
void backend.stat('x', {})

expectTypeOf(new StorageError('INTERNAL', 'm').code).toEqualTypeOf<StorageErrorCode>()
// @ts-expect-error -- the codes are a closed list
new StorageError('OTHER', 'm')

expectTypeOf(defineProvider).parameter(0).toEqualTypeOf<ProviderDefinition>()
expectTypeOf(new Secret({ token: 't' }).reveal()).toEqualTypeOf<{ token: string }>()
