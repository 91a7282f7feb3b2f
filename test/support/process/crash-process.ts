// A service that a test kills: the plugin with an OAuth cloud, S3 and WebDAV, and a managed folder on disk. Its first
// argument configures all addresses. It reports its own address, and exits with its parent.
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import type { KeyRingOptions } from '../../../src/crypto/key-ring.ts'
import { openDatabase } from '../../../src/db/open-database.ts'
import cloudStorage from '../../../src/index.ts'
import { openManaged } from '../../../src/providers/disk/index.ts'
import { cloudOptions, type RefreshedCloud } from '../refresh/cloud.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

export interface CrashProcessSettings {
  readonly url: string
  readonly cloud: RefreshedCloud
  readonly encryption: KeyRingOptions
  readonly directory: string
}

const { url, cloud, encryption, directory } = JSON.parse(process.argv[2] ?? '') as CrashProcessSettings
const database = await openDatabase({ url, migrate: false })
const { publicUrl, providers } = cloudOptions(cloud)
const app = Fastify({ pluginTimeout: 0 })
await app.register(cloudStorage, {
  prisma: database.prisma,
  authenticate: (request) => request.headers['x-user'] as string | undefined,
  encryption,
  transfers: true,
  publicUrl,
  providers: { ...providers, s3: { allowHosts: ['127.0.0.1'] }, webdav: { allowHosts: ['127.0.0.1'] } }
})
const store = await openManaged({ type: 'disk', directory }, { timeouts: TEST_TIMEOUTS })
await app.register(async (scope) => {
  scope.addContentTypeParser('*', (_request, _payload, done) => {
    done(null)
  })
  scope.put<{ Params: { name: string } }>('/disk/:name', async ({ params, raw }) => {
    const { signal } = new AbortController()
    return await store.upload?.({ id: params.name }, raw, { signal })
  })
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.once('disconnect', () => {
  void app.close().then(() => database.close())
})
process.send?.(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
