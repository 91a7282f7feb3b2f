// A process of a service with a cloud, by what its first argument says. It lists what it is told to, all
// at once, and says what was answered.
import Fastify from 'fastify'
import type { KeyRingOptions } from '../../src/infra/crypto/key-ring.ts'
import { openDatabase } from '../../src/infra/db/open-database.ts'
import cloudStorage from '../../src/index.ts'
import { cloudOptions, type RefreshedCloud } from './refresh-cloud.ts'

export interface RefreshProcessSettings {
  readonly url: string
  readonly cloud: RefreshedCloud
  readonly encryption: KeyRingOptions
}

/** To the process: what to ask, each as its user. */
export interface RefreshProcessCall {
  readonly call: number
  readonly asks: readonly { readonly method: 'GET' | 'DELETE'; readonly url: string; readonly user: string }[]
}

/** From it: what was answered, in the same order. */
export interface RefreshProcessAnswer {
  readonly call: number
  readonly answers: readonly { readonly status: number; readonly code?: string }[]
}

const settings = JSON.parse(process.argv[2] ?? '') as RefreshProcessSettings
const database = await openDatabase({ url: settings.url, migrate: false })
// What the first query compiles may take longer than a store waits, where many processes start.
await database.prisma.$queryRaw`SELECT 1`
const app = Fastify({ pluginTimeout: 0 })
await app.register(cloudStorage, {
  prisma: database.prisma,
  authenticate: (request) => request.headers['x-user'] as string | undefined,
  encryption: settings.encryption,
  ...cloudOptions(settings.cloud)
})
await app.ready()

process.on('message', ({ call, asks }: RefreshProcessCall) => {
  void (async () => {
    const answers = await Promise.all(
      asks.map(async ({ method, url, user }) => {
        const answer = await app.inject({ method, url, headers: { 'x-user': user } })
        const { code } = answer.body === '' ? {} : answer.json<{ code?: string }>()
        return { status: answer.statusCode, ...(code !== undefined && { code }) }
      })
    )
    process.send?.({ call, answers } satisfies RefreshProcessAnswer)
  })()
})
process.once('disconnect', () => {
  void app.close().then(() => database.close())
})
process.send?.('ready')
