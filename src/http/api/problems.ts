import { STORAGE_ERROR_CODES, StorageError, type StorageErrorCode } from '../../domain/errors.ts'
import { describe } from '../problem.ts'
import { STATUS } from '../status.ts'
import { ref, type Schema } from './models.ts'

const PROBLEM_TYPE = 'application/problem+json'
const NO_STORE = { 'Cache-Control': { type: 'string', const: 'no-store' } }

/** The additional headers of a problem, by status. */
const HEADERS: Readonly<Record<number, Schema>> = {
  401: { 'WWW-Authenticate': { type: 'string', description: 'The scheme, if the application sets one.' } },
  416: { 'Content-Range': { type: 'string', description: '`bytes */SIZE`' } },
  429: { 'Retry-After': { type: 'string', description: 'Seconds to wait.' } },
  503: { 'Retry-After': { type: 'string', description: 'Seconds to wait, if known.' } },
  507: { 'Retry-After': { type: 'string', description: 'Seconds to wait, if known.' } }
}

/** The codes of each status. The list is complete, so that a client can act on every code. */
const BY_STATUS: ReadonlyMap<number, readonly StorageErrorCode[]> = groupByStatus(STORAGE_ERROR_CODES)

/** A schema for each status, with the closed list of its codes and an example of each. */
export const PROBLEM_MODELS: Readonly<Record<string, Schema>> = Object.fromEntries(
  [...BY_STATUS].map(([status, codes]) => [
    modelOf(status),
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
const SIGNED_IN = ['UNAUTHENTICATED', 'AUTHENTICATION_UNAVAILABLE'] as const
/** Errors of any route. */
const ALWAYS = ['INTERNAL', 'DATABASE_UNAVAILABLE', 'SHUTTING_DOWN'] as const

export const CODES = {
  /** Errors of a route that reads. */
  reads: [...SIGNED_IN, ...ALWAYS],
  /** Errors of a route that changes something. */
  changes: [
    ...SIGNED_IN,
    ...ALWAYS,
    'CROSS_SITE',
    // Errors of a body, also on routes that ignore it.
    'INVALID_REQUEST',
    'PAYLOAD_TOO_LARGE',
    'UNSUPPORTED_MEDIA_TYPE'
  ],
  open: ALWAYS,
  /** Errors of a route that calls a provider. */
  asksProvider: [
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
export function problems(...codes: readonly (readonly StorageErrorCode[])[]): Readonly<Record<string, Schema>> {
  return problemsWith({}, ...codes)
}

/** Returns the same with additional headers. */
export function problemsWith(
  headers: Readonly<Record<string, Schema>>,
  ...codes: readonly (readonly StorageErrorCode[])[]
): Readonly<Record<string, Schema>> {
  return Object.fromEntries(
    [...groupByStatus([...new Set(codes.flat())])].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\``).join(', '),
        headers: { ...NO_STORE, ...headers, ...HEADERS[status] },
        content: { [PROBLEM_TYPE]: { schema: ref(modelOf(status)) } }
      }
    ])
  )
}

function groupByStatus(codes: readonly StorageErrorCode[]): Map<number, StorageErrorCode[]> {
  const groups = new Map<number, StorageErrorCode[]>()
  for (const code of codes) {
    const group = groups.get(STATUS[code])
    if (group === undefined) groups.set(STATUS[code], [code])
    else group.push(code)
  }
  return new Map([...groups].sort(([one], [other]) => one - other))
}

function modelOf(status: number): string {
  return `Problem${status}`
}

function exampleOf(code: StorageErrorCode): object {
  const { type, title, status } = describe(new StorageError(code, ''))
  return { type, title, status, detail: `${title}.`, code, requestId: '6f0c9a1e-3c1f-4f0e-9d2b-1f6f5f3f7a10' }
}
