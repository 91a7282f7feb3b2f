import { randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { CloudFailure } from '../fake-cloud.ts'
import type { GraphKind } from './node.ts'
import { sendJson } from '../fake-server.ts'

/** The fields of an error, in Graph's terms. Omitted fields have Graph's default for the code. */
export interface GraphError {
  readonly code: string
  readonly status?: number
  readonly message?: string
  /** The more specific code of the inner error. */
  readonly innerCode?: string
  readonly headers?: OutgoingHttpHeaders
}

export interface GraphErrorBody {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly innerError: {
      readonly code?: string
      readonly date: string
      readonly 'request-id': string
      readonly 'client-request-id': string
    }
  }
}

interface KnownError {
  readonly status: number
  readonly message: string
  readonly headers?: OutgoingHttpHeaders
}

const RETRY_LATER = { 'retry-after': '1' }
/** The challenge of a 401, for any account. */
const CHALLENGE = [
  'Bearer realm=""',
  'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"',
  'client_id="00000003-0000-0000-c000-000000000000"'
].join(', ')

/** Graph's texts and codes (page "Microsoft Graph error responses and resource types", and observed responses). */
const ERRORS: Readonly<Record<string, KnownError>> = {
  BadRequest: { status: 400, message: 'Bad request' },
  invalidRequest: { status: 400, message: 'Invalid request' },
  InvalidAuthenticationToken: {
    status: 401,
    message: 'Access token is empty.',
    headers: { 'www-authenticate': CHALLENGE }
  },
  unauthenticated: { status: 401, message: 'The caller is not authenticated.' },
  accessDenied: { status: 403, message: 'Access denied' },
  malwareDetected: { status: 403, message: 'Malware detected' },
  itemNotFound: { status: 404, message: 'The resource could not be found.' },
  nameAlreadyExists: { status: 409, message: 'An item with the same name already exists under the parent' },
  resyncChangesApplyDifferences: { status: 410, message: 'Resync required' },
  resyncRequired: { status: 410, message: 'Resync required' },
  resourceModified: { status: 412, message: 'The resource has changed since the caller last read it' },
  requestEntityTooLarge: { status: 413, message: 'The request is too large.' },
  invalidRange: { status: 416, message: 'The byte range is not one that is expected.' },
  malformedEntityTag: { status: 400, message: "ETag does not match current item's value" },
  resourceLocked: { status: 423, message: 'The resource you are attempting to access is locked' },
  activityLimitReached: { status: 429, message: 'The app or user has been throttled.', headers: RETRY_LATER },
  generalException: { status: 500, message: 'An unspecified error has occurred.' },
  serviceNotAvailable: { status: 503, message: 'The service is not available. Try again.', headers: RETRY_LATER },
  quotaLimitReached: { status: 507, message: 'The user has reached their quota limit' }
}

/** An error response. */
export class GraphFailure extends CloudFailure<GraphError> {}

/** A request that no client should send: it is recorded, and fails the test. */
export class GraphMistake extends GraphFailure {
  constructor(mistake: string, error: Partial<GraphError> = {}) {
    super({ code: 'invalidRequest', ...error, message: `A MISTAKE OF OUR CLIENT: ${mistake}` }, mistake)
  }
}

/** A failed precondition, in the format of either service. */
export const preconditionFailed = (kind: GraphKind) =>
  new GraphFailure(
    kind === 'business'
      ? { code: 'resourceModified' }
      : { code: 'notAllowed', status: 412, message: 'ETag does not match', innerCode: 'preconditionFailed' }
  )

export const itemNotFound = () => new GraphFailure({ code: 'itemNotFound' })

export const invalidRequest = (message: string) => new GraphFailure({ code: 'invalidRequest', message })

/** Sends an error with a body of exactly Graph's shape. */
export function sendError(response: ServerResponse, error: GraphError, now: Date): void {
  const known = ERRORS[error.code]
  const id = randomUUID()
  const headers = { 'request-id': id, 'client-request-id': id, ...known?.headers, ...error.headers }
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
  sendJson(response, error.status ?? known?.status ?? 500, {
    error: {
      code: error.code,
      message: error.message ?? known?.message ?? error.code,
      innerError: {
        ...(error.innerCode !== undefined && { code: error.innerCode }),
        date: now.toISOString().slice(0, 19),
        'request-id': id,
        'client-request-id': id
      }
    }
  } satisfies GraphErrorBody)
}
