import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Writable } from 'node:stream'
import cors from '@fastify/cors'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { MAX_CURSOR_LENGTH } from '../src/core/entry.ts'
import type { ManagedStoreOptions } from '../src/core/provider.ts'
import { withTimeout } from '../src/core/time.ts'
import type { Database } from '../src/db/open-database.ts'
import { Diagnosis, StorageError } from '../src/errors.ts'
import { sendProblem, causesOf } from '../src/http/problem.ts'
import { setCompilers } from '../src/http/validation.ts'
import {
  cloudStorage,
  type CloudStorageOptions,
  type MetricsRegistry,
  type OAuthProviderOptions,
  type ProviderOptions,
  type RedisClient
} from '../src/index.ts'
import { LIMIT_DEFAULTS, TIMEOUT_DEFAULTS } from '../src/options/options.ts'
import { checkProviders, createLoader, missingPackages } from '../src/options/providers.ts'
import { registerBearerAuthentication } from './authentication.ts'
import type { AppConfig } from './config.ts'
import { documentRoutes } from './documents/routes.ts'
import { Documents, MANAGED_STORE } from './documents/store.ts'
import { limitReceiveTime, RequestDrain } from './drain.ts'
import { healthRoutes, managedUnavailable, awaitCheck } from './health-routes.ts'
import {
  type CompletedRequest,
  logOptions,
  createRequestIdGenerator,
  RequestLog,
  compileProxyTrust
} from './logging.ts'
import { apiDocs, describeRoutes, packageVersion } from './openapi.ts'
import { WEB_ROOT, pageRoutes, readPageFiles } from './page-routes.ts'
import type { ServerRun } from './run.ts'

/** A folder id may have 8,192 bytes, three times as many percent-encoded; Node's default is 16 KiB. */
const MAX_HEADER_BYTES = 32_768
/** A percent-encoded folder id, a cursor, and 1 KiB for the rest. A longer URL is not even decoded. */
const MAX_URL_LENGTH = 3 * 8192 + MAX_CURSOR_LENGTH + 1024
/** No route: requests with longer URLs are sent here. */
const URL_TOO_LONG = '/url-too-long'
/** Time limit for receiving a whole request, except uploads: other bodies are small. */
const REQUEST_TIMEOUT_MS = 30_000
/** The interval at which Node checks for late headers. Its default of 30 seconds would double the limit. */
const CONNECTIONS_CHECK_INTERVAL_MS = 5_000
/** A client that reads nothing of its response for this long is considered gone. */
const CONNECTION_TIMEOUT_MS = 120_000
/** Longer than in load balancers, so that none sends a request into a closing connection. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000
const READY_TIMEOUT_MS = 2000
/** Time for which browsers may cache the response to a preflight request. */
const PREFLIGHT_MAX_AGE_S = 600
/** The response headers that front ends need, besides those which scripts may always read. */
const EXPOSED_HEADERS = [
  ...['Accept-Ranges', 'Age', 'Cache-Status', 'Content-Disposition', 'Content-Encoding', 'Content-Range', 'ETag'],
  ...['Location', 'Retry-After', 'WWW-Authenticate', 'X-Request-Id']
]

export interface AppDeps {
  readonly database: Pick<Database, 'prisma' | 'listen'>
  readonly drain?: RequestDrain
  readonly redis?: RedisClient | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** Counts requests. */
  readonly onRequestCompleted?: ((request: CompletedRequest) => void) | undefined
  /** In addition to those of the package. */
  readonly providers?: CloudStorageOptions['providers']
  /** Rejects while managed documents cannot be stored. */
  readonly assertManagedStore?: () => Promise<void>
  readonly logStream?: Writable
  /** True if the page signs in by the link that a demo prints. Default `false`. */
  readonly isDemo?: boolean
  /** The folder with the built page and picker. */
  readonly webRoot?: URL
}

const notFound = ({ originalUrl }: FastifyRequest): Error =>
  originalUrl.length > MAX_URL_LENGTH
    ? Object.assign(new Error(`The URL is longer than ${MAX_URL_LENGTH} characters.`), { statusCode: 414 })
    : Object.assign(new Error('The requested URL was not found.'), { statusCode: 404 })

/** Builds the application, not listening yet: the plugin behind bearer tokens, documents and health checks. */
export function buildApp(config: AppConfig, deps: AppDeps): FastifyInstance {
  const { prisma, listen } = deps.database
  const drain = deps.drain ?? new RequestDrain()
  const app = Fastify({
    logger: logOptions(config.logLevel, deps.logStream),
    logController: new RequestLog(deps.onRequestCompleted),
    genReqId: createRequestIdGenerator(config.trustProxy),
    trustProxy: config.trustProxy.length > 0 && compileProxyTrust(config.trustProxy),
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTIONS_CHECK_INTERVAL_MS
    },
    rewriteUrl: ({ url = '' }) => (url.length > MAX_URL_LENGTH ? URL_TOO_LONG : url),
    requestTimeout: config.transfers === false ? REQUEST_TIMEOUT_MS : 0,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // The drain sends the 503 instead, and lets probes through.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void sendProblem(withoutUrl(error), request, reply)
  })
  drain.watch(app)
  if (config.transfers !== false) limitReceiveTime(app, REQUEST_TIMEOUT_MS)
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(request), request, reply))

  setCompilers(app)

  const { publicUrl, allowedOrigins, leaseMs } = config
  if (allowedOrigins.length > 0) enableCors(app, new Set(allowedOrigins))
  const providers = { ...toProviderOptions(config), ...deps.providers }
  const authenticate = registerBearerAuthentication(app, config.jwt)
  describeRoutes(app, publicUrl)
  app.register(cloudStorage, {
    prisma,
    ...(config.isListenEnabled && { listen }),
    authenticate,
    encryption: config.encryption.reveal(),
    managed: { [MANAGED_STORE]: config.managed },
    providers,
    cache: { ...config.cache, ...(deps.redis && { shared: { redis: deps.redis } }) },
    ...(deps.metrics && { metrics: { registry: deps.metrics } }),
    limits: config.limits,
    timeouts: config.timeouts,
    transfers: config.transfers,
    spool: config.spool,
    ...(publicUrl !== undefined && { publicUrl }),
    allowedOrigins,
    ...(leaseMs !== undefined && { leaseMs })
  })
  app.register(apiDocs, {
    loadProviders: () =>
      Promise.all([...checkProviders(providers)].map(([id, { provider }]) => createLoader(id, provider)()))
  })
  app.register(async (child) => {
    healthRoutes(child, {
      pingDatabase: () => prisma.$queryRaw`SELECT 1`,
      ...(deps.assertManagedStore && { assertManagedStore: deps.assertManagedStore }),
      drain,
      timeoutMs: READY_TIMEOUT_MS
    })
  })
  app.register(async (child) => {
    pageRoutes(child, await readPageFiles(deps.webRoot ?? WEB_ROOT, deps.isDemo === true))
  })
  app.register(async (child) => {
    documentRoutes(child, {
      documents: new Documents(prisma),
      authenticate,
      sites: {
        publicHost: publicUrl === undefined ? undefined : new URL(publicUrl).host,
        allowedOrigins: new Set(allowedOrigins)
      },
      uploads: config.transfers !== false && {
        maxBytes: config.transfers.maxBytes,
        idleMs: config.timeouts.idleMs ?? TIMEOUT_DEFAULTS.idleMs
      },
      limits: { ...LIMIT_DEFAULTS, ...config.limits }
    })
  })
  return app
}

/** Enables CORS with cookies for listed origins. Others get no CORS headers. Preflights carry no credentials. */
function enableCors(app: FastifyInstance, origins: ReadonlySet<string>): void {
  app.register(cors, {
    origin: (origin, done) => {
      done(null, origin !== undefined && origins.has(origin))
    },
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_MAX_AGE_S
  })
}

function toProviderOptions({ allowHosts, registrations }: AppConfig): NonNullable<CloudStorageOptions['providers']> {
  const enabled: Record<string, ProviderOptions | OAuthProviderOptions> = {}
  for (const [id, hosts] of Object.entries(allowHosts)) enabled[id] = { allowHosts: hosts }
  for (const [id, registration] of Object.entries(registrations)) {
    enabled[id] = { ...registration, clientSecret: registration.clientSecret.reveal() }
  }
  return enabled
}

/** Replaces Fastify's message for an invalid URL, which repeats the URL with its query. */
function withoutUrl({ code, statusCode }: FastifyError): Error {
  return Object.assign(new Error('The requested URL is malformed.'), { code, statusCode })
}

/** Time for which the start waits for Redis and the managed store, to log whether they are available. */
const STARTUP_CHECK_TIMEOUT_MS = 2000

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

interface OpenAppDeps extends Pick<AppDeps, 'database' | 'providers' | 'webRoot' | 'isDemo'> {
  readonly summary: DatabaseSummary
}

/** Opens the application and its dependencies, not listening yet. The run drains and closes it at the end. */
export async function openApp(run: ServerRun, config: AppConfig, deps: OpenAppDeps): Promise<OpenApp> {
  const { summary, ...appDeps } = deps
  const drain = new RequestDrain()
  const redis = await openSharedRedis(run, config)
  const { address: metricsAddress = 'none', ...metrics } = (await openMetrics(run, config)) ?? {}
  const assertManagedStore = (): Promise<void> => checkManagedStore(config.managed)
  const app = buildApp(config, { ...appDeps, ...metrics, drain, redis, assertManagedStore })
  run.app = app
  run.add(() => app.close())
  run.add(async () => {
    const abortedCount = await drain.drain(app, config.shutdownTimeoutMs)
    if (abortedCount > 0) app.log.warn(`${abortedCount} requests were aborted at shutdown`)
  })
  await app.ready()
  const [redisFailure, managedFailure] = await Promise.all([
    redis && getRedisFailure(redis),
    // A network file system that hangs must not delay the start.
    awaitCheck(assertManagedStore(), STARTUP_CHECK_TIMEOUT_MS, managedUnavailable).catch(
      (error: unknown) => error as StorageError
    )
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
    throw new Error(describeListenError(error, host, port, variable), { cause: error })
  }
}

/** Returns why listening failed, and the remedy. */
export function describeListenError(error: unknown, host: string, port: number, variable = 'PORT'): string {
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
    throw new Error(describeListenError(error, host, port), { cause: error })
  }
  await once(probe.close(), 'close')
}

/**
 * Checks that managed documents can be stored, as far as this machine determines it.
 *
 * @throws StorageError `PROVIDER_UNAVAILABLE`, `SDK_MISSING`
 */
async function checkManagedStore(store: ManagedStoreOptions): Promise<void> {
  if (store.type === 's3') {
    const missing = missingPackages('s3')
    if (missing.length === 0) return
    const cause = new Diagnosis(`Not installed: ${missing.join(', ')}`)
    throw new StorageError('SDK_MISSING', 'The S3 store of managed documents needs packages that are not installed.', {
      cause
    })
  }
  const { openManaged } = await import('../src/providers/disk/index.ts')
  try {
    // Writes a file there: the permissions of the folder alone do not prove that it works.
    await openManaged(store, { timeouts: TIMEOUT_DEFAULTS })
  } catch (cause) {
    const diagnosis = new Diagnosis(`MANAGED_DISK_DIRECTORY ${store.directory}`, { cause })
    const message = 'The folder of managed documents is not writable.'
    throw new StorageError('PROVIDER_UNAVAILABLE', message, { cause: diagnosis })
  }
}

async function openSharedRedis(run: ServerRun, { redisUrl }: AppConfig): Promise<Redis | undefined> {
  if (redisUrl === undefined) return undefined
  const { openRedis } = await import('./health-routes.ts')
  const redis = openRedis(redisUrl.reveal())
  run.add(() => {
    redis.disconnect()
  })
  return redis
}

/** Returns why Redis is unavailable now. The client keeps trying. */
async function getRedisFailure(redis: Redis): Promise<unknown> {
  if (redis.status === 'ready') return undefined
  const toError = (): Error => new Error(`no response within ${STARTUP_CHECK_TIMEOUT_MS} ms`)
  try {
    // Also rejects on `error`.
    await withTimeout(STARTUP_CHECK_TIMEOUT_MS, null, toError, (signal) => once(redis, 'ready', { signal }))
    return undefined
  } catch (error) {
    return error
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
  const { buildMetricsServer, createRegistry, createRequestMetrics } = await import('./health-routes.ts')
  const registry = createRegistry()
  const server = buildMetricsServer(registry)
  run.add(() => server.close())
  const address = await listenAt(server, { host, port: metricsPort }, 'METRICS_PORT')
  return { metrics: registry, onRequestCompleted: createRequestMetrics(registry), address: `${address}/metrics` }
}
