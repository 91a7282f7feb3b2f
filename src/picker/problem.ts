import type { StorageErrorCode } from '../domain/errors.ts'

/** What goes wrong on this side of the network; the server has no code for it. */
export type LocalCode = 'NETWORK' | 'BAD_ANSWER' | 'LOGIN_EXPIRED' | 'NO_FOLDERS'

/** What a problem is made of, where it is not read from an answer. */
export interface ProblemFacts {
  readonly status?: number | undefined
  readonly detail?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly requestId?: string | undefined
}

/** The one error of the picker, and the `detail` of its `error` event. Act on `code`; the words are for people. */
export class PickerProblem extends Error {
  override readonly name = 'PickerProblem'
  readonly code: StorageErrorCode | LocalCode | (string & {})
  /** Of the answer; `null` where there was none. */
  readonly status: number | null
  /** The server's own words, in English. */
  readonly detail: string | null
  readonly retryAfterMs: number | null
  /** Under which the server's log has the rest. */
  readonly requestId: string | null

  constructor(code: StorageErrorCode | LocalCode | (string & {}), facts: ProblemFacts = {}) {
    super(facts.detail ?? code)
    this.code = code
    this.status = facts.status ?? null
    this.detail = facts.detail ?? null
    this.retryAfterMs = facts.retryAfterMs ?? null
    this.requestId = facts.requestId ?? null
  }

  /** The host's user is not signed in any more. A host's own hook has a code of its own, so the status decides. */
  get isSignedOut(): boolean {
    return this.status === 401
  }
}

/** What any failure comes to. What is no problem of ours is what `fetch` throws where no server was reached. */
export function asProblem(error: unknown): PickerProblem {
  return error instanceof PickerProblem ? error : new PickerProblem('NETWORK')
}

interface ProblemBody {
  readonly code?: unknown
  readonly detail?: unknown
  readonly requestId?: unknown
}

/**
 * Reads an answer that is no success: RFC 9457 of ours, or whatever a proxy in between says.
 *
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

/** What a proxy's page means, as far as its status tells. */
function codeOf(status: number): string {
  if (status === 401) return 'UNAUTHENTICATED'
  if (status === 413) return 'PAYLOAD_TOO_LARGE'
  if (status === 429) return 'TOO_MANY_REQUESTS'
  return status === 502 || status === 503 || status === 504 ? 'PROVIDER_UNAVAILABLE' : `HTTP_${status}`
}

/** A date is measured by the server's own clock: that of this machine may be wrong. */
function readRetryAfter(headers: { get: (name: string) => string | null }): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(headers.get('date') ?? '')
  return ms >= 0 ? ms : undefined
}
