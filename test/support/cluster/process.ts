// One of several processes of a service that share a database. It serves real HTTP as instructed, and each of its
// responses carries the times of its arrival, last validity check and sending.
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { KeyRingOptions } from '../../../src/crypto/key-ring.ts'
import { openDatabase } from '../../../src/db/open-database.ts'
import type { PrismaClient } from '../../../src/generated/prisma/client.ts'
import cloudStorage from '../../../src/index.ts'
import { serveCalls } from '../process/service-process.ts'
import { EventLoop, type Lateness, monotonicMs } from './clock.ts'
import { CLUSTER_PROVIDER, clusterProvider } from './provider.ts'

export interface ClusterSettings {
  readonly url: string
  /** The database URL of the LISTEN connection; `null` disables it. */
  readonly listenUrl: string | null
  readonly redisUrl: string | null
  readonly cloudOrigin: string
  readonly encryption: KeyRingOptions
  readonly leaseMs: number
  /** Whether polls report changes. Default true. */
  readonly isPolling?: boolean
  /** Rows arrive this many milliseconds after they were read, and polls do not. Default 0. */
  readonly readDelayMs?: number
  /**
   * The interval of checks for changes, which the cloud then reports. Pages that are not covered live as long. Default:
   * no changes are reported.
   */
  readonly checkMs?: number
}

export type ClusterCall = { readonly kind: 'serve'; readonly settings: ClusterSettings } | { readonly kind: 'lateness' }

export interface ClusterReply {
  readonly port?: number
  readonly lateness?: Lateness
}

/** More than any test needs. */
const REFRESHES_PER_MINUTE = 1_000_000

const eventLoop = new EventLoop()
let shutDown = async (): Promise<void> => undefined

async function serve(settings: ClusterSettings): Promise<number> {
  await shutDown()
  const { url, listenUrl, redisUrl, cloudOrigin, encryption, leaseMs, checkMs } = settings
  const database = await openDatabase({ url, migrate: false })
  const listening = listenUrl === null ? null : await openDatabase({ url: listenUrl, migrate: false })
  const redis = redisUrl === null ? null : new Redis(redisUrl)
  redis?.on('error', () => undefined)
  // With many processes starting, compiling the first query may take longer than a store waits.
  await database.prisma.$queryRaw`SELECT 1`

  const app = Fastify({ pluginTimeout: 0, forceCloseConnections: true })
  addTimestamps(app)
  await app.register(cloudStorage, {
    prisma: withFaults(database.prisma, settings),
    authenticate: (request) => request.headers['x-user'] as string | undefined,
    encryption,
    leaseMs,
    limits: { refreshPerMinute: REFRESHES_PER_MINUTE },
    providers: {
      [CLUSTER_PROVIDER]: {
        provider: clusterProvider(
          cloudOrigin,
          () => {
            eventLoop.markTurn()
          },
          checkMs !== undefined
        ),
        allowHosts: ['127.0.0.1']
      }
    },
    ...(listening !== null && { listen: () => listening.listen() }),
    cache: {
      ...(redis !== null && { shared: { redis } }),
      ...(checkMs !== undefined && { ttlMs: checkMs, check: { afterMs: checkMs } })
    }
  })
  addDocumentRoute(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  shutDown = async () => {
    await app.close()
    redis?.disconnect()
    // If the LISTEN connection is dead, closing it may never finish.
    void listening?.close()
    await database.close()
  }
  return (app.server.address() as AddressInfo).port
}

/** Returns a client that hides the changes that polls find, and delays rows. */
function withFaults(prisma: PrismaClient, { isPolling = true, readDelayMs = 0 }: ClusterSettings) {
  return prisma.$extends({
    query: {
      async $queryRaw({ args, query }) {
        const rows: unknown = await query(args)
        const isPoll = args.sql.includes('pg_current_snapshot')
        return isPoll && !isPolling ? (rows as object[]).map((row) => ({ ...row, changes: [] })) : rows
      },
      cloudConnection: {
        async $allOperations({ args, query }) {
          const rows = await query(args)
          if (readDelayMs > 0) await setTimeout(readDelayMs)
          return rows
        }
      }
    }
  })
}

/** Serves a document for each connection, with a body that never ends by itself. */
function addDocumentRoute(app: FastifyInstance): void {
  const preHandler = app.storageBackendHook({
    document: (request, { id: userId }) => {
      const { connection } = request.params as { connection: string }
      return {
        id: connection,
        userId,
        storageBackend: CLUSTER_PROVIDER,
        objectKey: 'endless',
        connectionId: connection
      }
    }
  })
  app.get('/documents/:connection', { preHandler }, async (request, reply) => {
    const closed = new AbortController()
    reply.raw.once('close', () => {
      closed.abort()
    })
    const { storageBackend: backend, storageDocument: document } = request
    const { body } = await backend.download(document.objectKey, { signal: closed.signal })
    return reply.send(body)
  })
}

function addTimestamps(app: FastifyInstance): void {
  const arrivals = new WeakMap<FastifyRequest, number>()
  app.addHook('onRequest', (request, _reply, done) => {
    arrivals.set(request, monotonicMs())
    done()
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    const arrivedAt = arrivals.get(request) ?? 0
    reply.header('x-arrived-at', arrivedAt)
    reply.header('x-looked-after', Math.max(arrivedAt, eventLoop.turnStartedAt))
    reply.header('x-sent-at', monotonicMs())
    done()
  })
}

const end = (): void => {
  eventLoop.stop()
  void shutDown().finally(() => process.exit())
}

process.once('SIGTERM', end)
serveCalls(
  async (call: ClusterCall): Promise<ClusterReply> =>
    call.kind === 'lateness' ? { lateness: eventLoop.lateness() } : { port: await serve(call.settings) },
  end
)
