import { once } from 'node:events'
import { createServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Redis } from 'ioredis'
import type { AppConfig } from '../config.ts'
import { Diagnosis, StorageError } from '../domain/errors.ts'
import type { ManagedStoreOptions } from '../domain/managed-store.ts'
import { causesOf } from '../http/log-failure.ts'
import { TIMEOUT_DEFAULTS } from '../options.ts'
import { missingPackages } from '../provider-wiring.ts'
import { packageVersion } from './api-docs.ts'
import { type AppDeps, buildApp } from './build-app.ts'
import { managedUnavailable, withinTime } from './health-routes.ts'
import { RequestDrain } from './request-drain.ts'
import type { ServerRun } from './server-run.ts'

/** Time for which the start waits for Redis and the managed store, to log whether they are available. */
const CHECK_MS = 2000

export interface OpenApp {
  readonly app: FastifyInstance
  /**
   * Listens at `HOST` and `PORT`.
   *
   * @returns `http://host:port`
   * @throws Error that states the remedy
   */
  readonly listen: () => Promise<string>
  /** Logs one line that describes the configuration. */
  readonly logStart: (address: string) => void
}

/** The database as it is logged, without credentials. */
export type DatabaseSummary =
  { readonly type: 'postgres'; readonly host: string; readonly name: string } | { readonly type: 'embedded' }

interface OpenAppDeps extends Pick<AppDeps, 'database' | 'providers' | 'built' | 'isDemo'> {
  readonly summary: DatabaseSummary
}

/** Opens the application and its dependencies, not listening yet. The run drains and closes it at the end. */
export async function openApp(run: ServerRun, config: AppConfig, deps: OpenAppDeps): Promise<OpenApp> {
  const { summary, ...appDeps } = deps
  const drain = new RequestDrain()
  const redis = await openShared(run, config)
  const { address: metricsAddress = 'none', ...metrics } = (await openMetrics(run, config)) ?? {}
  const assertManaged = (): Promise<void> => assertManagedUsable(config.managed)
  const app = buildApp(config, { ...appDeps, ...metrics, drain, redis, assertManaged })
  run.app = app
  run.add(() => app.close())
  run.add(async () => {
    const cut = await drain.drain(app, config.shutdownTimeoutMs)
    if (cut > 0) app.log.warn(`${cut} requests were aborted at shutdown`)
  })
  await app.ready()
  const [redisFailure, managedFailure] = await Promise.all([
    redis && failureOf(redis),
    // A network file system that hangs must not delay the start.
    withinTime(assertManaged(), CHECK_MS, managedUnavailable).catch((error: unknown) => error as StorageError)
  ])
  if (redisFailure) {
    const fields = { redis: redisAddress(redis), causes: causesOf(redisFailure) }
    app.log.warn(fields, 'Redis is unavailable; using the local cache only')
  }
  if (managedFailure) app.log.warn({ causes: causesOf(managedFailure) }, managedFailure.message)
  return {
    app,
    listen: async () => {
      // Fastify logs one line per address. `logStart` logs the address too.
      const { level } = app.log
      app.log.level = 'warn'
      const address = await listenAt(app, config)
      app.log.level = level
      return address
    },
    logStart: (address) => {
      app.log.info(
        {
          version: packageVersion(),
          address,
          database: summary,
          providers: [...Object.keys(config.allowHosts), ...Object.keys(config.registrations)],
          redis: redisAddress(redis),
          metrics: metricsAddress
        },
        'fastify-cloud-storage has started'
      )
    }
  }
}

/** @throws Error that names the variables and the remedy */
async function listenAt(
  app: FastifyInstance,
  { host, port }: Pick<AppConfig, 'host' | 'port'>,
  variable = 'PORT'
): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (error) {
    throw new Error(explainListen(error, host, port, variable), { cause: error })
  }
}

/** Returns why listening failed, and the remedy. */
export function explainListen(error: unknown, host: string, port: number, variable = 'PORT'): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE')
    return `${variable} ${port} on ${host} is in use by another process: set another ${variable}, or end that process`
  if (code === 'EACCES') return `${variable} ${port} needs privileges that this user does not have: use 1024 or higher`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `HOST ${host} is not an address of this machine`
  return `HOST ${host}, ${variable} ${port}: ${message}`
}

/**
 * Fails early if the server cannot listen at `HOST` and `PORT`, since a start takes a while. The port is free again
 * afterwards, so that no client connects to a server that is not ready.
 */
export async function assertPortFree({ host, port }: Pick<AppConfig, 'host' | 'port'>): Promise<void> {
  const probe = createServer()
  try {
    await once(probe.listen({ host, port }), 'listening')
  } catch (error) {
    throw new Error(explainListen(error, host, port), { cause: error })
  }
  await once(probe.close(), 'close')
}

/**
 * Checks that managed documents can be stored, as far as this machine determines it.
 *
 * @throws StorageError `PROVIDER_UNAVAILABLE`, `SDK_MISSING`
 */
async function assertManagedUsable(store: ManagedStoreOptions): Promise<void> {
  if (store.type === 's3') {
    const missing = missingPackages('s3')
    if (missing.length === 0) return
    const cause = new Diagnosis(`Not installed: ${missing.join(', ')}`)
    throw new StorageError('SDK_MISSING', 'The S3 store of managed documents needs packages that are not installed.', {
      cause
    })
  }
  const { openManaged } = await import('../providers/disk.ts')
  try {
    // Writes a file there: the permissions of the folder alone do not prove that it works.
    await openManaged(store, { timeouts: TIMEOUT_DEFAULTS })
  } catch (cause) {
    const diagnosis = new Diagnosis(`MANAGED_DISK_DIRECTORY ${store.directory}`, { cause })
    const message = 'The folder of managed documents is not writable.'
    throw new StorageError('PROVIDER_UNAVAILABLE', message, { cause: diagnosis })
  }
}

async function openShared(run: ServerRun, { redisUrl }: AppConfig): Promise<Redis | undefined> {
  if (redisUrl === undefined) return undefined
  const { openRedis } = await import('./redis.ts')
  const redis = openRedis(redisUrl.reveal())
  run.add(() => {
    redis.disconnect()
  })
  return redis
}

/** Returns why Redis is unavailable now. The client keeps trying. */
async function failureOf(redis: Redis): Promise<unknown> {
  if (redis.status === 'ready') return undefined
  const waiting = new AbortController()
  const timer = setTimeout(() => {
    waiting.abort()
  }, CHECK_MS)
  try {
    // Also rejects on `error`.
    await once(redis, 'ready', { signal: waiting.signal })
    return undefined
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
  }
}

function redisAddress(redis: Redis | undefined): string {
  if (redis === undefined) return 'none'
  const { host = '', port = 0, db = 0 } = redis.options
  return `${host}:${port}/${db}`
}

interface OpenMetrics extends Pick<AppDeps, 'metrics' | 'onRequestCompleted'> {
  readonly address: string
}

/** Opens the metrics server. It runs until the end, to report the last requests too. */
async function openMetrics(run: ServerRun, { metricsPort, host }: AppConfig): Promise<OpenMetrics | undefined> {
  if (metricsPort === undefined) return undefined
  const { buildMetricsServer, createRegistry, createRequestMetrics } = await import('./metrics-server.ts')
  const registry = createRegistry()
  const server = buildMetricsServer(registry)
  run.add(() => server.close())
  const address = await listenAt(server, { host, port: metricsPort }, 'METRICS_PORT')
  return { metrics: registry, onRequestCompleted: createRequestMetrics(registry), address: `${address}/metrics` }
}
