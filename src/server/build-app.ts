import type { Writable } from 'node:stream'
import cors from '@fastify/cors'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { AppConfig } from '../config.ts'
import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'
import { answerProblem } from '../http/problem.ts'
import { useOwnCompilers } from '../http/validation.ts'
import {
  cloudStorage,
  type CloudStorageOptions,
  type MetricsRegistry,
  type OAuthProviderOptions,
  type ProviderOptions,
  type RedisClient
} from '../index.ts'
import type { Database } from '../infra/db/open-database.ts'
import { LIMIT_DEFAULTS, TIMEOUT_DEFAULTS } from '../options.ts'
import { enabledProviders } from '../provider-options.ts'
import { loaderOf } from '../provider-wiring.ts'
import { apiDocs, describeRoutes } from './api-docs.ts'
import { registerBearerAuthentication } from './bearer-authentication.ts'
import { limitBodies } from './body-deadline.ts'
import { documentRoutes } from './document-routes.ts'
import { Documents, MANAGED_STORE } from './documents.ts'
import { healthRoutes } from './health-routes.ts'
import { logOptions } from './log-options.ts'
import { BUILT, readPageFiles } from './page-files.ts'
import { pageRoutes } from './page-routes.ts'
import { RequestDrain } from './request-drain.ts'
import { type CompletedRequest, RequestLog, requestIds, trustOf } from './request-log.ts'

/** A folder id may have 8,192 bytes, three times as many percent-encoded; Node's default is 16 KiB. */
const MAX_HEADER_BYTES = 32_768
/** A percent-encoded folder id, a cursor, and 1 KiB for the rest. A longer URL is not even decoded. */
const MAX_URL_LENGTH = 3 * 8192 + MAX_CURSOR_LENGTH + 1024
/** No route: requests with longer URLs are sent here. */
const URL_TOO_LONG = '/url-too-long'
/** Time limit for receiving a whole request, except uploads: other bodies are small. */
const REQUEST_TIMEOUT_MS = 30_000
/** The interval at which Node checks for late headers. Its default of 30 seconds would double the limit. */
const CHECKING_MS = 5_000
/** A client that reads nothing of its response for this long is considered gone. */
const CONNECTION_TIMEOUT_MS = 120_000
/** Longer than in load balancers, so that none sends a request into a closing connection. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000
const READY_TIMEOUT_MS = 2000
/** Time for which browsers may cache the response to a preflight request. */
const PREFLIGHT_SECONDS = 600
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
  readonly assertManaged?: () => Promise<void>
  readonly logTo?: Writable
  /** True if the page signs in by the link that a demo prints. Default `false`. */
  readonly isDemo?: boolean
  /** The folder with the built page and picker. */
  readonly built?: URL
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
    logger: logOptions(config.logLevel, deps.logTo),
    logController: new RequestLog(deps.onRequestCompleted),
    genReqId: requestIds(config.trustProxy),
    trustProxy: config.trustProxy.length > 0 && trustOf(config.trustProxy),
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECKING_MS
    },
    rewriteUrl: ({ url = '' }) => (url.length > MAX_URL_LENGTH ? URL_TOO_LONG : url),
    requestTimeout: config.transfers === false ? REQUEST_TIMEOUT_MS : 0,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // The drain sends the 503 instead, and lets probes through.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void answerProblem(withoutUrl(error), request, reply)
  })
  drain.watch(app)
  if (config.transfers !== false) limitBodies(app, REQUEST_TIMEOUT_MS)
  app.setErrorHandler(answerProblem)
  app.setNotFoundHandler((request, reply) => answerProblem(notFound(request), request, reply))

  useOwnCompilers(app)

  const { publicUrl, allowedOrigins, leaseMs } = config
  if (allowedOrigins.length > 0) allowOrigins(app, new Set(allowedOrigins))
  const providers = { ...providersOf(config), ...deps.providers }
  const authenticate = registerBearerAuthentication(app, config.jwt)
  describeRoutes(app, publicUrl)
  app.register(cloudStorage, {
    prisma,
    ...(config.listens && { listen }),
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
    publicUrl,
    loadProviders: () =>
      Promise.all([...enabledProviders(providers)].map(([id, { provider }]) => loaderOf(id, provider)()))
  })
  app.register(async (child) => {
    healthRoutes(child, {
      askDatabase: () => prisma.$queryRaw`SELECT 1`,
      ...(deps.assertManaged && { assertManaged: deps.assertManaged }),
      drain,
      timeoutMs: READY_TIMEOUT_MS
    })
  })
  app.register(async (child) => {
    pageRoutes(child, await readPageFiles(deps.built ?? BUILT, deps.isDemo === true))
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
function allowOrigins(app: FastifyInstance, origins: ReadonlySet<string>): void {
  app.register(cors, {
    origin: (origin, done) => {
      done(null, origin !== undefined && origins.has(origin))
    },
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_SECONDS
  })
}

function providersOf({ allowHosts, registrations }: AppConfig): NonNullable<CloudStorageOptions['providers']> {
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
