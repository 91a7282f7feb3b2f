import Fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client'
import { withTimeout } from '../src/core/time.ts'
import { databaseUnavailable } from '../src/db/errors.ts'
import { isStorageError, StorageError } from '../src/errors.ts'
import { closedObject, type Schema } from '../src/http/openapi/models.ts'
import { jsonResponse, NO_STORE_HEADERS, problemResponses } from '../src/http/openapi/responses.ts'
import type { RequestDrain } from './drain.ts'
import type { CompletedRequest } from './logging.ts'

/** Probes arrive every few seconds and would fill the log. */
const PROBE_OPTIONS = {
  logLevel: 'warn',
  config: { duringDrain: true },
  // In any scope: the schemas only describe the routes.
  serializerCompiler: () => JSON.stringify
} as const

const status = (value: string): Schema =>
  jsonResponse(
    `The server is ${value}.`,
    closedObject({ status: { type: 'string', const: value } }),
    NO_STORE_HEADERS,
    { status: value }
  )

const LIVE = {
  operationId: 'isLive',
  summary: 'Check that the process responds',
  tags: ['Server'],
  security: [],
  response: { 200: status('live'), ...problemResponses(['INTERNAL']) }
}

const READY = {
  operationId: 'isReady',
  summary: 'Check that the server is ready',
  tags: ['Server'],
  security: [],
  response: {
    200: status('ready'),
    ...problemResponses(['INTERNAL', 'SDK_MISSING', 'DATABASE_UNAVAILABLE', 'PROVIDER_UNAVAILABLE', 'SHUTTING_DOWN'])
  }
}

export interface HealthRouteDeps {
  /** Rejects if the database is unavailable. May hang. */
  readonly pingDatabase: () => PromiseLike<unknown>
  /** Rejects with a StorageError while managed documents cannot be stored. May hang. */
  readonly assertManagedStore?: () => Promise<void>
  readonly drain: RequestDrain
  readonly timeoutMs: number
}

/** Registers the probes. `live`: the process responds. `ready`: it can serve requests. */
export function healthRoutes(app: FastifyInstance, deps: HealthRouteDeps): void {
  const { pingDatabase, assertManagedStore = async () => undefined, drain, timeoutMs } = deps
  const checkDatabase = singleFlight(pingDatabase)
  const checkStore = singleFlight(assertManagedStore)

  app.get('/health/live', { ...PROBE_OPTIONS, schema: LIVE }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'live' }
  })

  app.get('/health/ready', { ...PROBE_OPTIONS, schema: READY }, async (_request, reply) => {
    if (drain.isDraining) throw new StorageError('SHUTTING_DOWN')
    await awaitCheck(checkDatabase(), timeoutMs, databaseUnavailable)
    await awaitCheck(checkStore(), timeoutMs, managedUnavailable)
    reply.header('cache-control', 'no-store')
    return { status: 'ready' }
  })
}

/** Runs one check at a time: probes of a hanging database must not exhaust its pool. */
function singleFlight(check: () => PromiseLike<unknown>): () => Promise<unknown> {
  let pending: Promise<unknown> | undefined
  return () =>
    (pending ??= Promise.resolve(check()).finally(() => {
      pending = undefined
    }))
}

export function managedUnavailable(cause: unknown): StorageError {
  return isStorageError(cause)
    ? new StorageError(cause.code, cause.message, { cause: cause.cause })
    : new StorageError('PROVIDER_UNAVAILABLE', 'The store of managed documents is unavailable.', { cause })
}

/** Waits for a check. @throws the result of `toError` if the check fails or times out */
export async function awaitCheck(
  check: Promise<unknown>,
  timeoutMs: number,
  toError: (cause: unknown) => StorageError
): Promise<void> {
  try {
    await withTimeout(
      timeoutMs,
      null,
      () => new Error(`no response within ${timeoutMs} ms`),
      () => check
    )
  } catch (cause) {
    throw toError(cause)
  }
}

/** Creates the registry of the plugin's metrics and of Node's own. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** From a cached listing to the longest provider call. Transfers of large files exceed the last bucket. */
const REQUEST_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Returns a function that counts requests by the pattern of their route. */
export function createRequestMetrics(registry: Registry): (request: CompletedRequest) => void {
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'HTTP requests',
    labelNames: ['method', 'route', 'status'],
    registers: [registry]
  })
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its response',
    labelNames: ['method', 'route'],
    buckets: REQUEST_SECONDS,
    registers: [registry]
  })
  return ({ method, route, status, seconds }) => {
    requests.inc({ method, route, status })
    durations.observe({ method, route }, seconds)
  }
}

/** Serves `GET /metrics` at a separate port: users of the service need no access to its metrics. */
export function buildMetricsServer(registry: Registry): FastifyInstance {
  const server = Fastify()
  server.get('/metrics', async (_request, reply) => {
    reply.type(registry.contentType).header('cache-control', 'no-store')
    return await registry.metrics()
  })
  return server
}

/**
 * Opens a client that fails instead of queueing commands. Entries that cannot be read are loaded from the provider,
 * and the plugin itself repeats failed invalidations.
 */
export function openRedis(url: string): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
    retryStrategy: (attempts) => Math.min(5_000, 100 * 2 ** Math.min(attempts, 6))
  })
  redis.on('error', () => {
    // The plugin logs failures once. Without a listener, ioredis would print this event at each attempt.
  })
  return redis
}
