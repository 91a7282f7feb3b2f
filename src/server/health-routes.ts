import type { FastifyInstance } from 'fastify'
import { isStorageError, StorageError } from '../domain/errors.ts'
import { NO_STORE, json } from '../http/api/answers.ts'
import { closed, type Schema } from '../http/api/models.ts'
import { problems } from '../http/api/problems.ts'
import type { RequestDrain } from './request-drain.ts'

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
    if (drain.draining) throw new StorageError('SHUTTING_DOWN', 'The server is shutting down.')
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
