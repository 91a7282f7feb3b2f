// A process of a service with a cloud, configured by its first argument. It sends the given requests concurrently and
// reports the responses.
import Fastify from 'fastify'
import type { KeyRingOptions } from '../../../src/crypto/key-ring.ts'
import { openDatabase } from '../../../src/db/open-database.ts'
import cloudStorage from '../../../src/index.ts'
import { serveCalls } from '../process/service-process.ts'
import { cloudOptions, type RefreshedCloud } from './cloud.ts'

export interface RefreshProcessSettings {
  readonly url: string
  readonly cloud: RefreshedCloud
  readonly encryption: KeyRingOptions
}

/** A request with its user. */
export interface RefreshProcessRequest {
  readonly method: 'GET' | 'DELETE'
  readonly url: string
  readonly user: string
}

export interface RefreshProcessResponse {
  readonly status: number
  readonly code?: string
}

const settings = JSON.parse(process.argv[2] ?? '') as RefreshProcessSettings
const database = await openDatabase({ url: settings.url, migrate: false })
// With many processes starting, compiling the first query may take longer than a store waits.
await database.prisma.$queryRaw`SELECT 1`
const app = Fastify({ pluginTimeout: 0 })
await app.register(cloudStorage, {
  prisma: database.prisma,
  authenticate: (request) => request.headers['x-user'] as string | undefined,
  encryption: settings.encryption,
  ...cloudOptions(settings.cloud)
})
await app.ready()

async function send({ method, url, user }: RefreshProcessRequest): Promise<RefreshProcessResponse> {
  const response = await app.inject({ method, url, headers: { 'x-user': user } })
  const { code } = response.body === '' ? {} : response.json<{ code?: string }>()
  return { status: response.statusCode, ...(code !== undefined && { code }) }
}

serveCalls(
  (requests: readonly RefreshProcessRequest[]) => Promise.all(requests.map(send)),
  () => {
    void app.close().then(() => database.close())
  }
)
