import Fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client'
import { isStorageError, StorageError } from '../src/errors.ts'
import { closed, type Schema } from '../src/http/openapi/models.ts'
import { json, NO_STORE, problems } from '../src/http/openapi/responses.ts'
import type { RequestDrain } from './drain.ts'
import type { CompletedRequest } from './logging.ts'

/** Probes arrive every few seconds and would fill the log. */
const QUIET = {
  logLevel: 'warn',
  config: { duringDrain: true },
  // In any scope: the schemas only describe the routes.
  serializerCompiler: () => JSON.stringify
} as const

const status = (word: string): Schema =>
  json(`The server is ${word}.`, closed({ status: { type: 'string', const: word } }), NO_STORE, { status: word })

const LIVE = {
  operationId: 'isLive',
  summary: 'Check that the process responds',
  tags: ['Server'],
  security: [],
  response: { 200: status('live'), ...problems(['INTERNAL']) }
}

const READY = {
  operationId: 'isReady',
  summary: 'Check that the server is ready',
  tags: ['Server'],
  security: [],
  response: {
    200: status('ready'),
    ...problems(['INTERNAL', 'SDK_MISSING', 'DATABASE_UNAVAILABLE', 'PROVIDER_UNAVAILABLE', 'SHUTTING_DOWN'])
  }
}

export interface HealthRouteDeps {
  /** Rejects if the database is unavailable. May hang. */
  readonly askDatabase: () => PromiseLike<unknown>
  /** Rejects with a StorageError while managed documents cannot be stored. May hang. */
  readonly assertManaged?: () => Promise<void>
  readonly drain: RequestDrain
  readonly timeoutMs: number
}

/** Registers the probes. `live`: the process responds. `ready`: it can serve requests. */
export function healthRoutes(app: FastifyInstance, deps: HealthRouteDeps): void {
  const { askDatabase, assertManaged = async () => undefined, drain, timeoutMs } = deps
  const ask = shared(askDatabase)
  const check = shared(assertManaged)

  app.get('/health/live', { ...QUIET, schema: LIVE }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'live' }
  })

  app.get('/health/ready', { ...QUIET, schema: READY }, async (_request, reply) => {
    if (drain.draining) throw new StorageError('SHUTTING_DOWN')
    await withinTime(ask(), timeoutMs, databaseUnavailable)
    await withinTime(check(), timeoutMs, managedUnavailable)
    reply.header('cache-control', 'no-store')
    return { status: 'ready' }
  })
}

/** Runs one check at a time: probes of a hanging database must not exhaust its pool. */
function shared(ask: () => PromiseLike<unknown>): () => Promise<unknown> {
  let asking: Promise<unknown> | undefined
  return () =>
    (asking ??= Promise.resolve(ask()).finally(() => {
      asking = undefined
    }))
}

export function managedUnavailable(cause: unknown): StorageError {
  return isStorageError(cause)
    ? new StorageError(cause.code, cause.message, { cause: cause.cause })
    : new StorageError('PROVIDER_UNAVAILABLE', 'The store of managed documents is unavailable.', { cause })
}

function databaseUnavailable(cause: unknown): StorageError {
  return new StorageError('DATABASE_UNAVAILABLE', 'The database is unavailable.', { cause })
}

/** Waits for a check. @throws the result of `toFailure` if the check fails or times out */
export async function withinTime(
  check: Promise<unknown>,
  timeoutMs: number,
  toFailure: (cause: unknown) => StorageError
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no response within ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    await Promise.race([check, deadline])
  } catch (cause) {
    throw toFailure(cause)
  } finally {
    clearTimeout(timer)
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
