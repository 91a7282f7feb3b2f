import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Diagnosis, type FailureDetails, errorKind, StorageError, type StorageErrorCode } from '../errors.ts'
import { ClientDisconnected } from './in-flight.ts'

/** Errors that Fastify throws before a handler runs. */
const FASTIFY_CODES: Readonly<Record<string, StorageErrorCode>> = {
  FST_ERR_VALIDATION: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'INVALID_REQUEST',
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE'
}

interface ForeignError {
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly headers?: unknown
  readonly message?: unknown
}

/** Sends every error of the routes as `application/problem+json` (RFC 9457). */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ClientDisconnected) return reply.code(499).send()
  const storageError = error instanceof StorageError ? error : fromFastify(error)
  const problem = storageError === undefined ? toForeignProblem(error, reply) : toProblem(storageError)
  logFailure(request, problem.status, storageError ?? error)
  const { headers, ...body } = problem
  return reply
    .code(problem.status)
    .headers(headers)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify({ ...body, requestId: request.id }))
}

/** The response of an error, without the request id. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string | undefined
  readonly code: string | undefined
  readonly headers: Record<string, string>
}

export function toProblem(error: StorageError): Problem {
  const { code, message, statusCode, headers } = error
  const words = code.toLowerCase().replaceAll('_', ' ')
  return {
    type: `urn:fastify-cloud-storage:error:${code}`,
    title: words.charAt(0).toUpperCase() + words.slice(1),
    status: statusCode,
    detail: errorKind(code).isInternal === true ? errorKind('INTERNAL').message : message,
    code,
    headers
  }
}

function fromFastify(error: unknown): StorageError | undefined {
  const { code, message } = error as ForeignError
  const mappedCode = typeof code === 'string' ? FASTIFY_CODES[code] : undefined
  return mappedCode && new StorageError(mappedCode, typeof message === 'string' ? message : 'The request is not valid.')
}

/**
 * Describes an error of the host's own hooks, which keeps its status, headers and code. Its message is sent only with
 * a 4xx status: failures inside the host are not disclosed to its users.
 */
function toForeignProblem(error: unknown, reply: FastifyReply): Problem {
  const foreign = (typeof error === 'object' && error !== null ? error : {}) as ForeignError
  const declaredStatus = foreign.statusCode ?? reply.statusCode
  const status =
    typeof declaredStatus === 'number' && declaredStatus >= 400 && declaredStatus <= 599 ? declaredStatus : 500
  const code = typeof foreign.code === 'string' ? foreign.code : undefined
  if (status === 500 && code === undefined) {
    return toProblem(new StorageError('INTERNAL', 'unexpected'))
  }
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: status < 500 && typeof foreign.message === 'string' ? foreign.message : undefined,
    code,
    headers: toTextHeaders(foreign.headers)
  }
}

function toTextHeaders(headers: unknown): Record<string, string> {
  if (typeof headers !== 'object' || headers === null) return {}
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}

const MAX_CAUSES = 4
const MAX_DIAGNOSIS_LENGTH = 512
const LOGGABLE_WORD = /^[\w.-]{1,64}$/

type Level = 'info' | 'warn' | 'error'

/** A failed request, as the log describes it. */
export interface LoggedFailure extends FailureDetails {
  readonly code?: string
  readonly causes?: readonly object[]
  /** An error that is not a `StorageError`: unexpected, so the log has its message and stack. */
  readonly err?: unknown
}

/** Writes a failure that would otherwise get a log line of its own. */
export type FailureSink = (failure: LoggedFailure, level: Level, message: string) => void

const sinks = new WeakMap<FastifyRequest, FailureSink>()

/** Passes the failure of `request` to `sink`, for a server that writes one line per request. */
export function setFailureSink(request: FastifyRequest, sink: FailureSink): void {
  sinks.set(request, sink)
}

/**
 * Logs why a request failed, with all that an operator needs to find the cause: request, connection and its status,
 * provider, host, code, causes. As in Fastify, statuses below 500 have the level `info`.
 *
 * Messages of third-party errors may contain a token or a whole upstream response. Of the causes of a `StorageError`,
 * only the class, code and HTTP status are logged, and the messages of a {@link Diagnosis} or another `StorageError`.
 */
export function logFailure(request: FastifyRequest, status: number, error: unknown): void {
  const level = status === 500 ? 'error' : status > 500 ? 'warn' : 'info'
  const sink = sinks.get(request)
  if (error instanceof StorageError) {
    const { code, message, details } = error
    const failure = { code, ...detailsOf(request, details), ...causesField(error) }
    if (sink === undefined) request.log[level]({ ...requestFields(request, status), ...failure }, message)
    else sink(failure, level, message)
  } else if (status >= 500) {
    const failure = { ...detailsOf(request, {}), err: error }
    if (sink === undefined) request.log.error({ ...requestFields(request, status), ...failure }, 'unexpected error')
    else sink(failure, 'error', 'unexpected error')
  } else {
    // The host logs the errors of its own hooks.
    const { code } = (error ?? {}) as { code?: unknown }
    sink?.(typeof code === 'string' ? { code } : {}, level, 'request failed')
  }
}

/** Returns the fields that identify a request. The logger adds the id. The route's pattern contains no secret. */
function requestFields(request: FastifyRequest, status: number): object {
  return { method: request.method, route: request.routeOptions.url, statusCode: status }
}

/** Returns the details of the error, completed with the ids in the request. */
function detailsOf({ method, params, query, routeOptions }: FastifyRequest, known: FailureDetails): FailureDetails {
  const { provider, id } = (params ?? {}) as Record<string, unknown>
  const { connection } = (query ?? {}) as Record<string, unknown>
  const { url = '' } = routeOptions
  // `POST /connections/:id` connects: its id is a provider's.
  const isConnect = method === 'POST' && url.endsWith('/connections/:id')
  const connectionParameter = url.includes('/connections/:id') && !isConnect ? id : connection
  return {
    ...known,
    provider: known.provider ?? toLoggableWord(isConnect ? id : provider),
    connectionId: known.connectionId ?? toLoggableWord(connectionParameter)
  }
}

function causesField(error: StorageError): { causes?: object[] } {
  const causes = causesOf(error)
  return causes.length === 0 ? {} : { causes }
}

/** Returns the loggable fields of an error and its causes; for a `StorageError`, only of its causes. */
export function causesOf(error: unknown): object[] {
  const causes: object[] = []
  for (
    let cause = error instanceof StorageError ? error.cause : error;
    cause instanceof Error && causes.length < MAX_CAUSES;
    cause = cause.cause
  ) {
    const { name, code, $metadata } = cause as Error & { code?: unknown; $metadata?: { httpStatusCode?: unknown } }
    // Messages of this package. They are cut, since they may contain an origin that a user or a server chose.
    const message =
      cause instanceof Diagnosis || cause instanceof StorageError
        ? cause.message.slice(0, MAX_DIAGNOSIS_LENGTH)
        : undefined
    causes.push({
      name: toLoggable(name),
      code: toLoggable(code),
      status: toLoggable($metadata?.httpStatusCode),
      message
    })
  }
  return causes
}

function toLoggable(value: unknown): string | number | undefined {
  return typeof value === 'number' ? value : toLoggableWord(value)
}

function toLoggableWord(value: unknown): string | undefined {
  return typeof value === 'string' && LOGGABLE_WORD.test(value) ? value : undefined
}
