import { errorKind, STORAGE_ERROR_CODES, StorageError, type StorageErrorCode } from '../../errors.ts'
import { toProblem } from '../problem.ts'
import { ref, type Schema } from './models.ts'

type Headers = Readonly<Record<string, Schema>>

const header = (description: string): Schema => ({ type: 'string', description })

export const NO_STORE_HEADERS: Headers = { 'Cache-Control': { type: 'string', const: 'no-store' } }

const VARY_HEADERS: Headers = {
  Vary: header('Request headers that affect the response: at least `Authorization, Cookie`.')
}

/** Headers of a response for one user, which caches must revalidate each time. */
export const PRIVATE_HEADERS: Headers = { 'Cache-Control': header('`private, no-cache`'), ...VARY_HEADERS }

export const LISTING_HEADERS: Headers = {
  ...PRIVATE_HEADERS,
  ETag: header('The entity tag of the listing.'),
  Age: {
    type: 'integer',
    minimum: 0,
    description: 'Seconds since the load from the provider began, or since the page was last confirmed.'
  },
  'Cache-Status': header('RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`.')
}

/** Headers of every response of a route that sends content. */
export const CONTENT_SECURITY_HEADERS: Headers = {
  ...VARY_HEADERS,
  'Content-Security-Policy': header('Disables scripts and subresources if a browser displays the content.'),
  'Cross-Origin-Resource-Policy': header('`same-origin`'),
  'X-Content-Type-Options': header('`nosniff`')
}

/** Headers of content, and of a 304 for it. */
export const CONTENT_HEADERS: Headers = {
  ...PRIVATE_HEADERS,
  ...CONTENT_SECURITY_HEADERS,
  'Content-Disposition': header('`attachment` with the file name.'),
  'Accept-Ranges': header('`bytes` or `none`.'),
  ETag: header('The entity tag of the content, if the store provides one.'),
  'Last-Modified': header('The time of the last change, if the store provides it.')
}

export const FULL_CONTENT_HEADERS: Headers = {
  ...CONTENT_HEADERS,
  'Content-Length': header('The size in bytes, if it is known.')
}
export const RANGE_HEADERS: Headers = { ...FULL_CONTENT_HEADERS, 'Content-Range': header('`bytes FIRST-LAST/SIZE`') }

/** Describes a JSON response. */
export function jsonResponse(description: string, schema: Schema, headers: Headers, example?: unknown): Schema {
  const media = { schema, ...(example !== undefined && { example }) }
  return { description, headers, content: { 'application/json': media } }
}

/** Describes a response with one of the models, which have examples of their own. */
export function modelResponse(description: string, name: string, headers: Headers, example?: unknown): Schema {
  return jsonResponse(description, ref(name), headers, example)
}

/** Describes a response without a body. */
export function emptyResponse(description: string, headers: Headers = {}): Schema {
  return { type: 'null', description, ...(Object.keys(headers).length > 0 && { headers }) }
}

/** Describes a response with bytes of any media type. */
export function bytesResponse(description: string, headers: Headers): Schema {
  return { description, headers, content: { '*/*': { schema: { description: 'The bytes of the content.' } } } }
}

/** Describes a stream of events. */
export function eventStreamResponse(description: string, headers: Headers): Schema {
  const schema = {
    type: 'string',
    description: 'Comments, and events with the data `{"provider":"…","connectionId":"…","folder":"…"}`.'
  }
  return { description, headers: { ...headers, ...VARY_HEADERS }, content: { 'text/event-stream': { schema } } }
}

const PROBLEM_TYPE = 'application/problem+json'

/** The additional headers of a problem, by status. */
const PROBLEM_HEADERS: Readonly<Record<number, Schema>> = {
  401: { 'WWW-Authenticate': { type: 'string', description: 'The scheme, if the application sets one.' } },
  416: { 'Content-Range': { type: 'string', description: '`bytes */SIZE`' } },
  429: { 'Retry-After': { type: 'string', description: 'Seconds to wait.' } },
  503: { 'Retry-After': { type: 'string', description: 'Seconds to wait, if known.' } },
  507: { 'Retry-After': { type: 'string', description: 'Seconds to wait, if known.' } }
}

/** The codes of each status. The list is complete, so that a client can act on every code. */
const CODES_BY_STATUS: ReadonlyMap<number, readonly StorageErrorCode[]> = groupByStatus(STORAGE_ERROR_CODES)

/** A schema for each status, with the closed list of its codes and an example of each. */
export const PROBLEM_MODELS: Readonly<Record<string, Schema>> = Object.fromEntries(
  [...CODES_BY_STATUS].map(([status, codes]) => [
    problemModelName(status),
    {
      description: `A problem with status ${status}.`,
      allOf: [
        ref('Problem'),
        {
          type: 'object',
          properties: { status: { type: 'integer', const: status }, code: { type: 'string', enum: codes } },
          required: ['status', 'code']
        }
      ],
      examples: codes.map(exampleOf)
    }
  ])
)

/** Errors of any authenticated route. */
const AUTHENTICATION_CODES = ['UNAUTHENTICATED', 'AUTHENTICATION_UNAVAILABLE'] as const
/** Errors of any route. */
const COMMON_CODES = ['INTERNAL', 'DATABASE_UNAVAILABLE', 'SHUTTING_DOWN'] as const

export const CODES = {
  /** Errors of a route that reads. */
  reads: [...AUTHENTICATION_CODES, ...COMMON_CODES],
  /** Errors of a route that changes something. */
  changes: [
    ...AUTHENTICATION_CODES,
    ...COMMON_CODES,
    'CROSS_SITE',
    // Errors of a body, also on routes that ignore it.
    'INVALID_REQUEST',
    'PAYLOAD_TOO_LARGE',
    'UNSUPPORTED_MEDIA_TYPE'
  ],
  unauthenticated: COMMON_CODES,
  /** Errors of a route that calls a provider. */
  callsProvider: [
    'ACCESS_DENIED',
    'ACCOUNT_DISABLED',
    'INSUFFICIENT_SCOPE',
    'ENDPOINT_FORBIDDEN',
    'TOO_MANY_REQUESTS',
    'LOCKED',
    'SDK_MISSING',
    'PROVIDER_ERROR',
    'SCHEME_MISMATCH',
    'CONNECTION_INACTIVE',
    'CREDENTIALS_UNREADABLE',
    'PROVIDER_UNAVAILABLE',
    'PROVIDER_THROTTLED',
    'PROVIDER_TIMEOUT'
  ],
  /** Errors of a route that uses one of the user's connections. */
  usesConnection: ['CONNECTION_AMBIGUOUS', 'PROVIDER_UNKNOWN', 'CONNECTION_NOT_FOUND', 'CONNECTION_MISSING']
} as const satisfies Record<string, readonly StorageErrorCode[]>

/** Returns the error responses of an operation that fails with these codes, by status. */
export function problemResponses(...codes: readonly (readonly StorageErrorCode[])[]): Readonly<Record<string, Schema>> {
  return problemResponsesWith({}, ...codes)
}

/** Returns the same with additional headers. */
export function problemResponsesWith(
  headers: Readonly<Record<string, Schema>>,
  ...codes: readonly (readonly StorageErrorCode[])[]
): Readonly<Record<string, Schema>> {
  return Object.fromEntries(
    [...groupByStatus([...new Set(codes.flat())])].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\``).join(', '),
        headers: { ...NO_STORE_HEADERS, ...headers, ...PROBLEM_HEADERS[status] },
        content: { [PROBLEM_TYPE]: { schema: ref(problemModelName(status)) } }
      }
    ])
  )
}

function groupByStatus(codes: readonly StorageErrorCode[]): Map<number, StorageErrorCode[]> {
  const groups = new Map<number, StorageErrorCode[]>()
  for (const code of codes) {
    const group = groups.get(errorKind(code).status)
    if (group === undefined) groups.set(errorKind(code).status, [code])
    else group.push(code)
  }
  return new Map([...groups].sort(([one], [other]) => one - other))
}

function problemModelName(status: number): string {
  return `Problem${status}`
}

function exampleOf(code: StorageErrorCode): object {
  const { type, title, status } = toProblem(new StorageError(code))
  return { type, title, status, detail: `${title}.`, code, requestId: '6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10' }
}
