import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { StorageError, type StorageErrorCode } from '../domain/errors.ts'
import { ClientGone } from './client-signal.ts'
import { logFailure } from './log-failure.ts'
import { withStatus } from './status.ts'

/** Errors that Fastify throws before a handler runs. */
const FASTIFY_CODES: Readonly<Record<string, StorageErrorCode>> = {
  FST_ERR_VALIDATION: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'INVALID_REQUEST',
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE'
}

/** Errors of the server, not of the request. Their messages are only logged. */
const UNTOLD: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>(['INTERNAL', 'SDK_MISSING'])

interface ForeignError {
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly headers?: unknown
  readonly message?: unknown
}

/** Sends every error of the routes as `application/problem+json` (RFC 9457). */
export function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ClientGone) return reply.code(499).send()
  const ours = error instanceof StorageError ? error : fromFastify(error)
  const problem = ours === undefined ? describeForeign(error, reply) : describe(ours)
  logFailure(request, problem.status, ours ?? error)
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

export function describe(error: StorageError): Problem {
  const { code, message, statusCode, headers = {} } = withStatus(error)
  const words = code.toLowerCase().replaceAll('_', ' ')
  return {
    type: `urn:fastify-cloud-storage:error:${code}`,
    title: words.charAt(0).toUpperCase() + words.slice(1),
    status: statusCode,
    detail: UNTOLD.has(code) ? 'An internal error occurred on the server.' : message,
    code,
    headers
  }
}

function fromFastify(error: unknown): StorageError | undefined {
  const { code, message } = error as ForeignError
  const ours = typeof code === 'string' ? FASTIFY_CODES[code] : undefined
  return ours && new StorageError(ours, typeof message === 'string' ? message : 'The request is not valid.')
}

/**
 * Describes an error of the host's own hooks, which keeps its status, headers and code. Its message is sent only with
 * a 4xx status: failures inside the host are not disclosed to its users.
 */
function describeForeign(error: unknown, reply: FastifyReply): Problem {
  const foreign = (typeof error === 'object' && error !== null ? error : {}) as ForeignError
  const asked = foreign.statusCode ?? reply.statusCode
  const status = typeof asked === 'number' && asked >= 400 && asked <= 599 ? asked : 500
  const code = typeof foreign.code === 'string' ? foreign.code : undefined
  if (status === 500 && code === undefined) {
    return describe(new StorageError('INTERNAL', 'unexpected'))
  }
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: status < 500 && typeof foreign.message === 'string' ? foreign.message : undefined,
    code,
    headers: textHeaders(foreign.headers)
  }
}

function textHeaders(headers: unknown): Record<string, string> {
  if (typeof headers !== 'object' || headers === null) return {}
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}
