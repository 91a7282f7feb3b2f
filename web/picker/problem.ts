import type { StorageErrorCode } from '../../src/errors.ts'

/** Error codes of the picker itself. The server does not use them. */
export type LocalCode = 'NETWORK' | 'BAD_ANSWER' | 'LOGIN_EXPIRED' | 'NO_FOLDERS'

/** The fields of a problem that is not read from a response. */
export interface ProblemFields {
  readonly status?: number | undefined
  readonly detail?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly requestId?: string | undefined
}

/** The picker's only error class, and the `detail` of its `error` event. Act on `code`; the message is for people. */
export class PickerProblem extends Error {
  override readonly name = 'PickerProblem'
  readonly code: StorageErrorCode | LocalCode | (string & {})
  /** The HTTP status, or `null` if there was no response. */
  readonly status: number | null
  /** The server's error detail, in English. */
  readonly detail: string | null
  readonly retryAfterMs: number | null
  /** The request ID, for finding the request in the server's log. */
  readonly requestId: string | null

  constructor(code: StorageErrorCode | LocalCode | (string & {}), fields: ProblemFields = {}) {
    super(fields.detail ?? code)
    this.code = code
    this.status = fields.status ?? null
    this.detail = fields.detail ?? null
    this.retryAfterMs = fields.retryAfterMs ?? null
    this.requestId = fields.requestId ?? null
  }

  /** Whether the user's session has ended. An authentication hook may use its own code, so the status decides. */
  get isSignedOut(): boolean {
    return this.status === 401
  }
}

/** Converts any error. `fetch` throws other errors if it cannot reach the server: they become `NETWORK`. */
export function toProblem(error: unknown): PickerProblem {
  return error instanceof PickerProblem ? error : new PickerProblem('NETWORK')
}

interface ProblemBody {
  readonly code?: unknown
  readonly detail?: unknown
  readonly requestId?: unknown
}

/**
 * Reads an error response: `application/problem+json` (RFC 9457), or the page of a proxy in between.
 * @param headers by lower-case name
 */
export function readProblem(
  status: number,
  headers: { get: (name: string) => string | null },
  body: string
): PickerProblem {
  const { code, detail, requestId } = parseBody(body)
  return new PickerProblem(typeof code === 'string' ? code : codeOf(status), {
    status,
    detail: typeof detail === 'string' ? detail : undefined,
    requestId: typeof requestId === 'string' ? requestId : undefined,
    retryAfterMs: readRetryAfter(headers)
  })
}

function parseBody(body: string): ProblemBody {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}

/** Returns the code for a proxy's response, derived from its status. */
function codeOf(status: number): string {
  if (status === 401) return 'UNAUTHENTICATED'
  if (status === 413) return 'PAYLOAD_TOO_LARGE'
  if (status === 429) return 'TOO_MANY_REQUESTS'
  return status === 502 || status === 503 || status === 504 ? 'PROVIDER_UNAVAILABLE' : `HTTP_${status}`
}

/** Reads Retry-After. A date is compared with the response's Date header, because the local clock may be wrong. */
function readRetryAfter(headers: { get: (name: string) => string | null }): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(headers.get('date') ?? '')
  return ms >= 0 ? ms : undefined
}
